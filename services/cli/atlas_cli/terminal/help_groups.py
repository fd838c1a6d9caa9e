"""How a command comes into `atlas --help`: below what people do with it, and with a command line to copy."""

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperGroup

# What people do, in the order that `atlas --help` shows it.
MESH = "Mesh"
YOURS = "Your own"
EVENTS = "Events"
READ_MODELS = "Read models"
ARCHIVE = "Archive"
SCHEMAS = "Schemas"
OPERATE = "Operate"
GROUPS = (MESH, YOURS, EVENTS, READ_MODELS, ARCHIVE, SCHEMAS, OPERATE)


class Grouped(TyperGroup):
    """The commands in the order of GROUPS; typer itself has groups of commands after all others."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, those of no group last."""

        def place(name: str) -> int:
            panel = getattr(self.commands[name], "rich_help_panel", None)
            return GROUPS.index(panel) if panel in GROUPS else len(GROUPS)

        return sorted(self.commands, key=place)


def add(
    app: typer.Typer, function: Callable[..., Any], *examples: str, name: str | None = None, group: str | None = None
) -> None:
    """Add a command with its examples, which its help ends with; `group` is for those of `atlas` itself."""
    app.command(name, rich_help_panel=group, epilog=_examples(examples))(function)


def _examples(examples: tuple[str, ...]) -> str:
    return "\n\n".join(f"Example: {example}" for example in examples)
