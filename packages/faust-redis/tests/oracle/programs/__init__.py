"""Deterministic Faust programs, one feature each, written as Faust's users write theirs."""
