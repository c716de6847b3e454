"""The command ``parley``: starting, watching and load-testing the service."""
