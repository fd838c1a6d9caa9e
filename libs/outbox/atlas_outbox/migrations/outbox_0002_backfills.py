"""How far `atlas outbox backfill` has come with each table."""

from alembic import op

revision = "outbox_0002"
down_revision = "outbox_0001"
branch_labels = None
depends_on = None
formerly = "0004"

# `last_key` is the primary key of the last row done, one text for each of its columns; it moves in the transaction that
# appends the events, so a row's event exists if and only if the row is behind it.
_BACKFILLS = """
CREATE TABLE outbox.backfills (
    source text NOT NULL,
    event_type text NOT NULL,
    last_key text[],
    rows bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    PRIMARY KEY (source, event_type)
)
"""


def upgrade() -> None:
    op.execute(_BACKFILLS)


def downgrade() -> None:
    op.execute("DROP TABLE outbox.backfills")
