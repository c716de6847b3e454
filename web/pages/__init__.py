"""The pages: the chat and the stages."""
