"""The schema of the contexts' state, and the idempotency keys of their commands."""

from alembic import op

revision = "http_0001"
down_revision = None
# The numbers: what migrations of contexts depend on that were begun when all of Atlas was one chain of these.
branch_labels = ("http", "0001", "0002", "0003", "0004", "0006", "0008", "0009", "0010", "0011", "0012")
depends_on = "outbox_0001"
formerly = "0002"

STATEMENTS = (
    "CREATE SCHEMA app",
    # A row is claimed and answered in the transaction of the command's effect, so a committed row has its answer.
    """
    CREATE TABLE app.idempotency_keys (
        key text PRIMARY KEY CHECK (length(key) BETWEEN 1 AND 255),
        fingerprint bytea NOT NULL,
        status smallint,
        headers jsonb,
        body bytea,
        expires_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX idempotency_keys_expires_at ON app.idempotency_keys (expires_at)",
    "COMMENT ON COLUMN app.idempotency_keys.fingerprint IS 'SHA-256 of method, path, If-Match and canonical body'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP SCHEMA app CASCADE")
