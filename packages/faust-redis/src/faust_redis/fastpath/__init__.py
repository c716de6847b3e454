"""Shorter ways than Faust's own for the steps that every message takes."""
