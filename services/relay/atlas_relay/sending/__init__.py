"""The Kafka side: batches onto their partitions, exactly once or at least once."""
