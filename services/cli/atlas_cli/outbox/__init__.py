"""The outbox at its database."""
