"""Read models: which generation of a projection is live, and how far each has come.

The tables and views of a projection are not made here: their definition belongs to the projection, and the projector
makes them when it starts. Until then a reader answers NotBuilt.
"""

from alembic import op

revision = "readmodel_0001"
down_revision = None
branch_labels = ("readmodel",)
depends_on = None
formerly = "0003"


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute("CREATE SCHEMA readmodel")
    op.execute("""
        CREATE TABLE readmodel.projections (
            name text PRIMARY KEY,
            live_generation int NOT NULL,
            -- Rises whenever rows already cached may be wrong: a swap, a rollback, a cache that missed writes.
            epoch bigint NOT NULL DEFAULT 1
        )""")
    op.execute("""
        CREATE TABLE readmodel.generations (
            projection text NOT NULL REFERENCES readmodel.projections (name),
            generation int NOT NULL,
            version int NOT NULL,
            topics text[] NOT NULL,
            state text NOT NULL CHECK (state IN ('building', 'live', 'previous', 'dropped')),
            view_sql text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            live_since timestamptz,
            PRIMARY KEY (projection, generation)
        )""")
    op.execute("""
        CREATE UNIQUE INDEX generations_one_of_a_state ON readmodel.generations (projection, state)
        WHERE state IN ('building', 'live')""")
    op.execute("""
        CREATE TABLE readmodel.positions (
            projection text NOT NULL,
            generation int NOT NULL,
            topic text NOT NULL,
            partition int NOT NULL,
            next_offset bigint NOT NULL,
            -- False once another generation is live: the row itself fences a writer that waited for the swap's lock.
            writable boolean NOT NULL DEFAULT true,
            events bigint NOT NULL DEFAULT 0,
            PRIMARY KEY (projection, generation, topic, partition),
            FOREIGN KEY (projection, generation) REFERENCES readmodel.generations (projection, generation)
        ) WITH (fillfactor = 50)""")
    op.execute("""
        CREATE TABLE readmodel.dead_letters (
            projection text NOT NULL REFERENCES readmodel.projections (name),
            topic text NOT NULL,
            partition int NOT NULL,
            record_offset bigint NOT NULL,
            error text NOT NULL,
            at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (projection, topic, partition, record_offset)
        )""")


def downgrade() -> None:
    op.execute("DROP SCHEMA readmodel CASCADE")
