"""The HTTP and WebSocket side: tokens, sockets, health."""
