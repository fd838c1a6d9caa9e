"""Records that are stepped over or left unread; who reads a partition, and over which records a process died."""

from alembic import op

revision = "readmodel_0004"
down_revision = "readmodel_0003"
branch_labels = None
depends_on = None
formerly = "0011"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE readmodel.dead_letters
        DROP CONSTRAINT dead_letters_decision_check,
        -- skipped: an operator had it stepped over. unread: a process died over it, so it is set aside as it is. Both
        -- are followed by every generation, whatever its version.
        ADD CONSTRAINT dead_letters_decision_check
            CHECK (decision IN ('set_aside', 'dropped', 'accepted', 'skipped', 'unread'))""")
    # Looked at by every loop, four times a second.
    op.execute("""
        CREATE INDEX dead_letters_skipped ON readmodel.dead_letters (projection) WHERE decision = 'skipped'""")
    op.execute("""
        ALTER TABLE readmodel.positions
        -- The process that reads the partition; null once it has let go in order.
        ADD COLUMN reader text,
        -- Where it began; and how many before it began there and ended without letting go.
        ADD COLUMN began_at bigint,
        ADD COLUMN deaths int NOT NULL DEFAULT 0""")
    op.execute("""
        ALTER TABLE readmodel.failures
        -- About to be handled, from this record on: how many.
        ADD COLUMN records int NOT NULL DEFAULT 1""")


def downgrade() -> None:
    op.execute("ALTER TABLE readmodel.failures DROP COLUMN records")
    op.execute("ALTER TABLE readmodel.positions DROP COLUMN reader, DROP COLUMN began_at, DROP COLUMN deaths")
    op.execute("DROP INDEX readmodel.dead_letters_skipped")
    op.execute("DELETE FROM readmodel.dead_letters WHERE decision IN ('skipped', 'unread')")
    op.execute("""
        ALTER TABLE readmodel.dead_letters
        DROP CONSTRAINT dead_letters_decision_check,
        ADD CONSTRAINT dead_letters_decision_check CHECK (decision IN ('set_aside', 'dropped', 'accepted'))""")
