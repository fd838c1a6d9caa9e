"""The poll-handle-commit loop, the producer, the three fates of an error, admin."""
