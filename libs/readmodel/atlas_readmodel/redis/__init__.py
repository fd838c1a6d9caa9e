"""A read model in Redis."""
