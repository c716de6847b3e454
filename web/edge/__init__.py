"""Limit the number, the silence and the data of client connections."""
