"""A position is one of a topic's id, not of its name: a topic deleted and made again has another."""

from alembic import op

revision = "readmodel_0003"
down_revision = "readmodel_0002"
branch_labels = None
depends_on = None
formerly = "0010"


def upgrade() -> None:
    op.execute("ALTER TABLE readmodel.positions ADD COLUMN topic_id text")
    op.execute(
        "COMMENT ON COLUMN readmodel.positions.topic_id IS "
        "'Kafka''s id of the topic that next_offset counts in; null of before this column: the first id that fits'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE readmodel.positions DROP COLUMN topic_id")
