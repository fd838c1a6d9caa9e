"""`atlas produce`: events from a file to a topic, through the gateway."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from atlas_cli.terminal.completing import topics
from atlas_cli.terminal.help_groups import EVENTS, add
from atlas_cli.terminal.output import CommandError, JsonFlag, print_json, say, spinner

if TYPE_CHECKING:
    from atlas_cli.topics.producing import Outcome

_LINE_EVERY_S = 2.0


def register(parent: typer.Typer) -> None:
    """Add the command."""
    add(parent, produce, "atlas produce bookings.events bookings.ndjson", group=EVENTS)


def produce(
    topic: Annotated[str, typer.Argument(help="The topic, as `atlas topics` names it.", autocompletion=topics)],
    file: Annotated[str, typer.Argument(help="NDJSON, a JSON object or a JSON array; - reads standard input.")],
    as_json: JsonFlag = False,
) -> None:
    """Send events; each is {"type": …, "value": {…}} with optional "key", "headers" and "id".

    Prints each refused record with its line and what is wrong with it; the others are sent. Exits 1 if any failed.
    """
    from urllib.parse import quote

    from atlas_cli.settings import load_settings
    from atlas_cli.topics.producing import produce as send
    from atlas_cli.topics.producing import read_lines

    url = f"{load_settings().gateway_url.rstrip('/')}/topics/{quote(topic, safe='')}"
    with _opened(file) as source, _progress(topic, shown=not as_json) as on_progress:
        outcome = asyncio.run(send(url, read_lines(source), on_progress))
    if as_json:
        counts = {"topic": topic, "succeeded": outcome.succeeded, "failed": outcome.failed}
        print_json({**counts, "errors": outcome.errors})
    else:
        for error in outcome.errors:
            say(f"line {error['line']}: {describe_error(error)}", err=True)
        say(f"{topic}: {outcome.succeeded} sent, {outcome.failed} failed")
    if outcome.failed:
        raise typer.Exit(1)


def describe_error(error: dict[str, Any]) -> str:
    """A refused record's error on one line: each field's fault, or what the gateway says of the whole."""
    fields = [
        f"{fault['path'] or 'the value'}: found {fault['found']}, expected {fault['expected']}"
        for fault in error.get("errors") or ()
    ]
    return "; ".join(fields) or str(error.get("detail"))


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        source = Path(file).open("rb")  # noqa: SIM115 - closed below; only opening may fail as the user's mistake
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    with source:
        yield source


@contextmanager
def _progress(topic: str, *, shown: bool) -> "Iterator[Callable[[Outcome], None]]":
    """Something to call after each chunk: a live counter on a terminal, a line every two seconds elsewhere."""
    if not shown:
        yield lambda _: None
    elif sys.stderr.isatty():
        with spinner(f"{topic}: 0 sent") as tell:
            yield lambda outcome: tell(_standing(topic, outcome))
    else:
        due = time.monotonic() + _LINE_EVERY_S

        def line(outcome: "Outcome") -> None:
            nonlocal due
            if time.monotonic() >= due:
                due = time.monotonic() + _LINE_EVERY_S
                say(_standing(topic, outcome), err=True)

        yield line


def _standing(topic: str, outcome: "Outcome") -> str:
    return f"{topic}: {outcome.succeeded} sent, {outcome.failed} failed"
