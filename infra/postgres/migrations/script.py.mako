<%!
    import textwrap

    def sentence(message):
        """The message as a docstring holds it: a sentence, lines that are not too long, nothing that ends it."""
        text = " ".join(message.split()).rstrip(".") + "."
        text = (text[:1].upper() + text[1:]).replace("\\", "\\\\").replace('"', '\\"')
        first, *more = textwrap.wrap(text, 100, break_long_words=True)
        return first if not more else first + "\n\n" + "\n".join(more) + "\n"

    def quoted(value):
        """A name, a tuple of names, or None, as ruff writes them."""
        if value is None or isinstance(value, str):
            return f'"{value}"' if value else "None"
        names = [f'"{name}"' for name in value]
        return f"({', '.join(names)}{',' * (len(names) == 1)})" if names else "None"
%>"""${sentence(message)}"""

from alembic import op

revision = "${up_revision}"
down_revision = ${quoted(down_revision)}
branch_labels = ${quoted(branch_labels)}
depends_on = ${quoted(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else 'op.execute("")'}


def downgrade() -> None:
    ${downgrades if downgrades else 'op.execute("")'}
