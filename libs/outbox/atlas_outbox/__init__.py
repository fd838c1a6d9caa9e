"""The outbox table: its writing side and its reading side."""
