"""Serve the HTTP endpoints, with their middlewares."""
