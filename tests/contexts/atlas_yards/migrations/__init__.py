"""The tables behind the commands, as Alembic makes them; the branch is called `yards`."""
