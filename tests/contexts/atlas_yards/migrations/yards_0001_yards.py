"""Yards as the commands see them: what a command sets, and what the event of each tells of it."""

from alembic import op

revision = "yards_0001"
down_revision = None
branch_labels = ("yards",)
depends_on = "http_0001"

TABLE = r"""
CREATE TABLE app.yards (
    yard_id uuid PRIMARY KEY,
    version bigint NOT NULL DEFAULT 1,
    email text NOT NULL UNIQUE,
    display_name text NOT NULL,
    country text,
    status text NOT NULL DEFAULT 'active',
    reason text,
    updated_at bigint NOT NULL, registered_at bigint NOT NULL, changed_at bigint, deactivated_at bigint
)
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE app.yards")
