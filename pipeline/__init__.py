"""Hold the code that the web process and the agents share: chat, workers, models, telemetry and settings."""
