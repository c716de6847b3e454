"""Serve the chat socket: its protocols, sockets and frames."""
