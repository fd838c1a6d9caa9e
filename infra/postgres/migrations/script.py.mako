<%!
    import textwrap

    def sentence(message):
        """The message as a docstring holds it: a sentence, lines that are not too long, nothing that ends it."""
        text = " ".join(message.split()).rstrip(".") + "."
        text = (text[:1].upper() + text[1:]).replace("\\", "\\\\").replace('"', '\\"')
        first, *more = textwrap.wrap(text, 100, break_long_words=True)
        return first if not more else first + "\n\n" + "\n".join(more) + "\n"
%>"""${sentence(message)}"""

from alembic import op

revision = "${up_revision}"
down_revision = "${down_revision}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else 'op.execute("")'}


def downgrade() -> None:
    ${downgrades if downgrades else 'op.execute("")'}
