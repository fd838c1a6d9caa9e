"""All that a command prints goes through here: nothing that came from outside can speak to the terminal.

Keys, values, headers, names and error texts of others may hold escape sequences, line breaks, bidirectional overrides
or rich's markup. What can't be printed is shown as an escape such as \\x1b; markup is never interpreted.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas_cli.terminal.json_text import json_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
YesFlag = Annotated[bool, typer.Option("--yes", help="Do not ask before something is gone for good.")]
# Elsewhere than on a terminal nothing is as narrow as the 80 columns that rich supposes.
# Of lines of progress where nobody watches.
_LINE_EVERY_S = 5.0
_WIDTH_OF_A_FILE = 200


class CommandError(Exception):
    """What the user can mend; printed as one line, exit code 1. Each of `details` is a line below it."""

    def __init__(self, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)


def printable(text: str) -> str:
    """The text on one line, every character that is no letter, mark, number, sign or blank as an escape.

    Escaped are controls (C0, C1, DEL), line and paragraph separators, formatting characters (bidirectional overrides,
    zero-width ones), surrogates, and code points without a meaning. A backslash stays as it is: --json tells the two
    apart.
    """
    if text.isprintable():
        return text
    return "".join(
        # Blanks of other scripts count as unprintable, but do nothing to a terminal.
        each if each.isprintable() or (each.isspace() and each in _BLANKS) else _escaped(each)
        for each in text
    )


_BLANKS = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def say(text: str = "", *, err: bool = False) -> None:
    """Print one line, escaped."""
    stream = sys.stderr if err else sys.stdout
    stream.write(printable(text) + "\n")
    stream.flush()


def overwrite(text: str) -> None:
    """Overwrite the current line of stderr, escaped."""
    sys.stderr.write("\r" + printable(text))
    sys.stderr.flush()


def print_json(value: Any, *, one_line: bool = False) -> None:
    """Print one JSON document, indented unless `one_line`; values that JSON does not know are printed as text."""
    sys.stdout.write(_plain_json(json_text(value, indent=None if one_line else 2)) + "\n")
    if one_line:
        sys.stdout.flush()


def inline_json(value: Any) -> str:
    """One JSON document on one line, to be part of a line of text."""
    return json_text(value, indent=None)


def print_rows(
    rows: Sequence[Mapping[str, Any]],
    *,
    as_json: bool,
    title: str = "",
    empty: str = "nothing",
    spare: Sequence[str] = (),
) -> None:
    """Print rows that share their keys: a JSON array, or a table whose columns are the keys of the first row.

    A column without any value is left out. No word is broken: where the words do not fit the width, the columns named
    in `spare` go, the first named first; where they still do not fit, each row is a block of lines.
    """
    if as_json:
        print_json([dict(row) for row in rows])
        return
    if not rows:
        say(empty)
        return
    from rich.text import Text

    from atlas_cli.terminal import tables

    screen = console()
    if title:
        screen.print(Text(printable(title), style="italic"))
    names = tables.columns_of(rows)
    for gone in range(len(spare) + 1):
        kept = [name for name in names if name not in spare[:gone]]
        shown = [_texts(row, kept) for row in rows]
        if widths := tables.fitted([[header, *(row[header] for row in shown)] for header in shown[0]], screen.width):
            screen.print(_table(shown, widths, [tables.is_numeric(rows, name) for name in kept]))
            return
    for line in tables.blocks([_texts(row, names) for row in rows], screen.width):
        say(line)


def _texts(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    return {printable(name.replace("_", " ")): _cell_text(row[name]) for name in names}


def _table(shown: Sequence[Mapping[str, str]], widths: Sequence[int], numeric: Sequence[bool]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    from atlas_cli.terminal.tables import GAP

    table = Table(box=None, header_style="bold", padding=(0, GAP, 0, 0), pad_edge=False)
    for header, width, flush_right in zip(shown[0], widths, numeric, strict=True):
        table.add_column(Text(header), justify="right" if flush_right else "left", width=width, overflow="fold")
    for row in shown:
        table.add_row(*(Text(text) for text in row.values()))
    return table


def _cell_text(value: Any) -> str:
    if value is None:
        return ""
    return printable(inline_json(value) if isinstance(value, dict | list | tuple) else str(value))


def cell(value: Any) -> Any:
    """A value for a cell of one of rich's tables: its text, without markup, empty for None."""
    from rich.text import Text

    return Text(_cell_text(value))


def confirm(question: str, *, yes: bool) -> None:
    """Return once the user has agreed, at once when `yes`; where nobody answers, CommandError names --yes."""
    if yes:
        return
    try:
        agreed = typer.confirm(printable(question), err=True)
    except typer.Abort:
        say(err=True)  # the question's line
        raise CommandError("not done: nobody answered; --yes does it without asking") from None
    if not agreed:
        raise typer.Abort


def console(*, err: bool = False) -> "Console":
    """A console that takes no markup, no emoji names and no highlighting from the texts it prints."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _WIDTH_OF_A_FILE
    return Console(stderr=err, width=width, soft_wrap=not stream.isatty(), markup=False, emoji=False, highlight=False)


@contextmanager
def spinner(text: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """A line on stderr that says what is being done, while the block lasts; call what it gives with a new text."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console(err=True), disable=quiet) as bar:
        task = bar.add_task(printable(text))
        yield lambda now: bar.update(task, description=printable(now))


@contextmanager
def progress(text: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """As `spinner` on a terminal; elsewhere what it is called with is a line on stderr, every few seconds."""
    if quiet or sys.stderr.isatty():
        with spinner(text, quiet=quiet) as tell:
            yield tell
        return
    said_at = time.monotonic()

    def tell_now_and_then(now: str) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= _LINE_EVERY_S:
            said_at = time.monotonic()
            say(now, err=True)

    yield tell_now_and_then


def _plain_json(text: str) -> str:
    """JSON in which what can't be printed is a \\u escape, which JSON's readers take back."""
    if text.replace("\n", "").isprintable():
        return text  # json has escaped most controls
    return "".join(
        each if each.isprintable() or each == "\n" or each in _BLANKS else json.dumps(each)[1:-1] for each in text
    ).replace("\x7f", "\\u007f")
