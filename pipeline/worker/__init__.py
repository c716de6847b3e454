"""A stage as a Faust worker: its app, its topics and how it handles an event."""
