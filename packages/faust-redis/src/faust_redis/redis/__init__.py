"""The Redis layer: addresses, connections, scripts and errors."""
