"""What a consumer is given: records or whole batches, of the right topic, whatever a producer has put there."""
