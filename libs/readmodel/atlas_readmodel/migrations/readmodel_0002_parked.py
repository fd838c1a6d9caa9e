"""Records that wait: those a projection can't handle, those behind them, those that came before an earlier version."""

from alembic import op

revision = "readmodel_0002"
down_revision = "readmodel_0001"
branch_labels = None
depends_on = None
formerly = "0006"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE readmodel.dead_letters
        -- set_aside: live could not handle it. dropped: an operator gave it up. accepted: versions before it never
        -- came. A rebuild decides as live did, so that both come to the same rows.
        ADD COLUMN decision text NOT NULL DEFAULT 'set_aside'
            CHECK (decision IN ('set_aside', 'dropped', 'accepted'))""")
    op.execute("""
        CREATE TABLE readmodel.parked (
            projection text NOT NULL,
            generation int NOT NULL,
            topic text NOT NULL,
            partition int NOT NULL,
            record_offset bigint NOT NULL,
            key bytea,
            value bytea,
            header_names text[] NOT NULL,
            header_values bytea[] NOT NULL,
            timestamp_ms bigint NOT NULL,
            state text NOT NULL CHECK (state IN ('dead', 'behind', 'early')),
            error text,
            attempts int NOT NULL DEFAULT 1,
            parked_at timestamptz NOT NULL DEFAULT now(),
            -- What an operator wants done; the loop that owns the partition does it.
            request text CHECK (request IN ('retry', 'drop')),
            PRIMARY KEY (projection, generation, topic, partition, record_offset),
            FOREIGN KEY (projection, generation) REFERENCES readmodel.generations (projection, generation)
        )""")
    op.execute("""
        CREATE INDEX parked_requests ON readmodel.parked (projection, generation) WHERE request IS NOT NULL""")
    op.execute("""
        CREATE TABLE readmodel.failures (
            projection text NOT NULL REFERENCES readmodel.projections (name),
            topic text NOT NULL,
            partition int NOT NULL,
            record_offset bigint NOT NULL,
            attempts int NOT NULL,
            error text NOT NULL,
            PRIMARY KEY (projection, topic, partition, record_offset)
        )""")


def downgrade() -> None:
    op.execute("DROP TABLE readmodel.failures")
    op.execute("DROP TABLE readmodel.parked")
    op.execute("ALTER TABLE readmodel.dead_letters DROP COLUMN decision")
