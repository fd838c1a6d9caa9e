"""State behind the commands: users and idempotency keys."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    "CREATE SCHEMA app",
    # The truth the commands decide on; what readers see is readmodel.users, made from the events.
    # `version` counts the user's events and is the ce_sequence of the last one.
    # An address stays taken after deactivation: the history under it belongs to one person.
    # A row is updated in place for life, so pages keep room for it (HOT updates touch no index).
    r"""
    CREATE TABLE app.users (
        user_id uuid PRIMARY KEY,
        email text NOT NULL CHECK (email = lower(email) AND length(email) BETWEEN 3 AND 254),
        display_name text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 100),
        country text CHECK (country ~ '^[A-Z]{2}$'),
        status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'deactivated')),
        version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
        registered_at bigint NOT NULL,
        updated_at bigint NOT NULL,
        CONSTRAINT users_email_key UNIQUE (email)
    ) WITH (fillfactor = 85)
    """,
    "COMMENT ON COLUMN app.users.registered_at IS 'UTC, milliseconds since the epoch'",
    "COMMENT ON COLUMN app.users.updated_at IS 'UTC, milliseconds since the epoch'",
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
