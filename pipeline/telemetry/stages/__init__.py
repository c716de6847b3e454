"""Observe the stages from outside, through Redis alone."""
