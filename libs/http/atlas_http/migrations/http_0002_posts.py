"""What a post with an Idempotency-Key is about to send."""

from alembic import op

revision = "http_0002"
down_revision = "http_0001"
branch_labels = None
depends_on = None
formerly = "0008"


def upgrade() -> None:
    op.execute("ALTER TABLE app.idempotency_keys ADD COLUMN sending jsonb")
    op.execute(
        "COMMENT ON COLUMN app.idempotency_keys.sending IS "
        "'Of a post to a topic: the mark of its records, and where the partitions ended before them'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE app.idempotency_keys DROP COLUMN sending")
