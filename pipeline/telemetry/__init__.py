"""Measure, trace and log the work of the stages."""
