"""One Faust program, two brokers: its result on Kafka is recorded, and compared with its result on Redis."""
