"""Measuring how fast Parley is, beside others and beside what its parts allow."""
