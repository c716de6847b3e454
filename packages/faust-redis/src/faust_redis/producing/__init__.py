"""Sending messages to partitions."""
