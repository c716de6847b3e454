"""A folder for PYTHONPATH that makes some messages deadly."""
