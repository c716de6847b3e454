"""Connections from strangers: how many there may be, how long they may be silent, what they may send."""
