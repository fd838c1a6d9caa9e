"""From batches of Kafka to a segment that counts."""
