"""How Kafka writes records, whoever sends or reads them: no client, no I/O."""
