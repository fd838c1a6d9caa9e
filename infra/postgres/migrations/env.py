"""Alembic's entry: runs the migrations on the database that ATLAS_POSTGRES_DSN names."""

import os

from alembic import context
from atlas_runtime.migrations import set_aside, take_over_chain
from sqlalchemy import create_engine, pool


def _url() -> str:
    dsn = context.config.get_main_option("sqlalchemy.url") or os.environ["ATLAS_POSTGRES_DSN"]
    return dsn.replace("postgresql://", "postgresql+psycopg://", 1)


def _run() -> None:
    engine = create_engine(_url(), poolclass=pool.NullPool)
    with engine.begin() as connection:
        set_aside(connection, {script.revision for script in context.script.walk_revisions()})
        take_over_chain(connection, context.script)
    with engine.connect() as connection:
        context.configure(connection=connection, version_table="alembic_version", transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()


_run()
