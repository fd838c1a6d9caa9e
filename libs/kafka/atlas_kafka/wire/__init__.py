"""Kafka's protocol where aiokafka does not speak it: requests of newer versions and their answers, and no others."""
