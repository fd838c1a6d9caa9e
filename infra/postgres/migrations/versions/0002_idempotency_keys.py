"""The schema of the contexts' state, and the idempotency keys of their commands."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

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
