"""Orders as they are now."""

import sqlalchemy as sa
from alembic import op

revision = "shop_0001"
down_revision = None
branch_labels = ("shop",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "orders",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("items", sa.Integer, nullable=False),
        sa.Column("cents", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("orders")
