"""The relay writes no batch down any more before it sends it: the mark on Kafka says what was sent."""

from alembic import op

revision = "outbox_0003"
down_revision = "outbox_0002"
branch_labels = None
depends_on = None
formerly = "0009"

# A batch that is half done can be told only by the relay that wrote it.
_REFUSE = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM outbox.batches) THEN
        RAISE EXCEPTION 'outbox.batches holds half-done batches: start and stop the relay of the version before once';
    END IF;
END $$
"""
_BATCHES = """
CREATE TABLE outbox.batches (
    shard_group smallint PRIMARY KEY REFERENCES outbox.leases,
    token uuid NOT NULL,
    transactional_id text NOT NULL,
    ids bigint[] NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)
"""


def upgrade() -> None:
    op.execute(_REFUSE)
    op.execute("DROP TABLE outbox.batches")
    op.execute("ALTER TABLE outbox.leases ADD COLUMN sender text")
    op.execute(
        "COMMENT ON COLUMN outbox.leases.sender IS "
        "'Who may have sent rows that are still there: fenced by a new owner, which then reads its last mark'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE outbox.leases DROP COLUMN sender")
    op.execute(_BATCHES)
