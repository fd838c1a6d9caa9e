"""Users as the commands see them."""

from alembic import op

revision = "users_0001"
down_revision = None
branch_labels = ("users",)
depends_on = "http_0001"

STATEMENTS = (
    # Databases from before contexts had migrations of their own have the table already.
    # The truth the commands decide on; what readers see is readmodel.users, made from the events.
    # `version` counts the user's events and is the ce_sequence of the last one.
    # An address stays taken after deactivation: the history under it belongs to one person.
    # A row is updated in place for life, so pages keep room for it (HOT updates touch no index).
    r"""
    CREATE TABLE IF NOT EXISTS app.users (
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
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE app.users")
