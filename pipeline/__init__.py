"""What web and agents share: messages, sessions, settings, models, and Faust's way onto Redis Streams."""
