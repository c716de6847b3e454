"""The chat socket: protocols, sockets, frames."""
