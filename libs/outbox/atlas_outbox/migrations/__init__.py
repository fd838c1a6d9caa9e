"""The tables of the outbox, as Alembic makes them; the branch is called `outbox`."""
