"""Limit the number and the silence of client connections, for the web process and the agents' pages."""
