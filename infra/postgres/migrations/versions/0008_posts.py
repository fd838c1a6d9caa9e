"""What a post with an Idempotency-Key is about to send."""

from alembic import op

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE app.idempotency_keys ADD COLUMN sending jsonb")
    op.execute(
        "COMMENT ON COLUMN app.idempotency_keys.sending IS "
        "'Of a post to a topic: the mark of its records, and where the partitions ended before them'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE app.idempotency_keys DROP COLUMN sending")
