"""Read owned partitions; deliver, ack and fail events."""
