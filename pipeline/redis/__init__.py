"""Redis for the service: clients, scripts and rates."""
