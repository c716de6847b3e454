"""Reading owned partitions, acking, failing and delivering events."""
