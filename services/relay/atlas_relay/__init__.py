"""Moves committed outbox rows onto their topics, exactly once."""
