"""Figures, traces and logs of the stages."""
