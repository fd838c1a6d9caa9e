"""Idempotency keys are each caller's own."""

from alembic import op

revision = "http_0003"
down_revision = "http_0002"
branch_labels = None
depends_on = None
formerly = "0012"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE app.idempotency_keys
        ADD COLUMN caller text NOT NULL DEFAULT '',
        DROP CONSTRAINT idempotency_keys_pkey,
        ADD PRIMARY KEY (caller, key)""")
    op.execute(
        "COMMENT ON COLUMN app.idempotency_keys.caller IS "
        "'By the header of ATLAS_GATEWAY_CALLER_HEADER; empty where callers have no names'"
    )


def downgrade() -> None:
    # A key that several callers have used can be nobody's any more.
    op.execute("""
        DELETE FROM app.idempotency_keys AS one USING app.idempotency_keys AS other
        WHERE one.key = other.key AND one.caller <> other.caller""")
    op.execute("""
        ALTER TABLE app.idempotency_keys
        DROP CONSTRAINT idempotency_keys_pkey,
        DROP COLUMN caller,
        ADD PRIMARY KEY (key)""")
