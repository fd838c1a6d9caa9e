"""What is kept about read models, as Alembic makes them; the branch is called `readmodel`."""
