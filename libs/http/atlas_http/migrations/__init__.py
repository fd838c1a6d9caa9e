"""The schema of the contexts' tables and the idempotency keys, as Alembic makes them; the branch is called `http`."""
