"""Send messages to partitions."""
