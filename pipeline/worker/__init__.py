"""Run a stage as a Faust worker: its app, its topics and its handling of events."""
