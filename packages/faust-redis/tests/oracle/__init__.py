"""One Faust program, two brokers: what it gives on Kafka is recorded, and compared with what it gives on Redis."""
