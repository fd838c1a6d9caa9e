"""What every command prints: a table for people, JSON with --json, one line for an error."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


class CommandError(Exception):
    """What the user can mend; printed as one line, exit code 1."""


def print_json(value: Any) -> None:
    """Print one JSON document, indented; values JSON does not know are printed as text."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def print_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool, title: str = "", empty: str = "nothing") -> None:
    """Print rows that share their keys: a JSON array, or a table whose columns are the keys of the first row."""
    if as_json:
        print_json([dict(row) for row in rows])
        return
    if not rows:
        sys.stdout.write(f"{empty}\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", header_style="bold")
    for column, value in rows[0].items():
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        table.add_column(column.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console(soft_wrap=not sys.stdout.isatty()).print(table)
