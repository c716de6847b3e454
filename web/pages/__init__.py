"""Serve the pages: the chat and the stages."""
