"""`atlas tail`: read a topic as it is, decoded, from where you say, until Ctrl-C."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas_cli.terminal.completing import topics
from atlas_cli.terminal.help_groups import EVENTS, add
from atlas_cli.terminal.output import JsonFlag, inline_json, print_json, say

if TYPE_CHECKING:
    from atlas_cli.topics.following import Looked, Query

_SAY_EVERY_S = 2.0


def register(parent: typer.Typer) -> None:
    """Add the command."""
    add(parent, tail, "atlas tail bookings.events --from -10m", "atlas tail bookings.events.dlq -n 1", group=EVENTS)


def tail(  # noqa: PLR0913, PLR0917 - each is an option of the command, given by name
    topic: Annotated[str, typer.Argument(help="Any topic, a dead-letter topic too.", autocompletion=topics)],
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="WHERE",
            help="beginning, end, an offset, a time (2013-01-01T10:00:00Z, 2013-01-01) or an age (-10m, -2h, -1d)"
            " of writing, which is not the event's own (ce_time).",
        ),
    ] = "end",
    key: Annotated[str | None, typer.Option(help="Only records with this key.")] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="Only events of this type.")] = None,
    count: Annotated[int | None, typer.Option("-n", min=1, help="Stop after this many.")] = None,
    until_end: Annotated[bool, typer.Option("--until-end", help="Stop at the end that the topic has now.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Print events as they arrive, one a line, until Ctrl-C, -n or --until-end. With --json, a JSON document a line.

    While nothing fits --key and --type, it says on stderr what it has looked through.
    """
    from atlas_cli.topics.following import Query, parse_start

    query = Query(
        topic=topic,
        start=parse_start(start, now_ms=time.time_ns() // 1_000_000),
        key=None if key is None else os.fsencode(key),
        type=event_type,
        count=count,
        until_end=until_end,
    )

    def show(described: dict[str, Any]) -> None:
        if as_json:
            print_json(described, one_line=True)
        else:
            say(render_line(described))

    asyncio.run(_run(query, show, _Report(topic)))


class _Report:
    """Says on stderr what was looked through: every few seconds while nothing is shown, and at the topic's end."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._said_at = time.monotonic()
        self._shown = 0
        self._ended = False

    def __call__(self, looked: "Looked") -> None:
        quiet = looked.shown == self._shown
        self._shown = looked.shown
        now = time.monotonic()
        if not quiet:
            self._said_at = now
        ends = looked.at_end and not self._ended
        self._ended = looked.at_end
        if (ends and not looked.shown) or (quiet and not looked.at_end and now - self._said_at > _SAY_EVERY_S):
            self._said_at = now
            where = "to the end" if looked.at_end else "and going on"
            say(f"{self._topic}: looked through {looked.records:,} records, {where}; {looked.shown:,} fit", err=True)


async def _run(query: "Query", show: Callable[[dict[str, Any]], None], watch: "Callable[[Looked], None]") -> None:
    from atlas_contracts.codec import Codec

    from atlas_cli.connect import kafka_reader, load_registry
    from atlas_cli.settings import load_settings
    from atlas_cli.topics.following import follow

    settings = load_settings()
    codec = Codec(load_registry(settings))
    stop = asyncio.Event()
    # Ctrl-C is how a tail ends: exit code 0, not a traceback.
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    async with kafka_reader(settings) as reader:
        await follow(reader, codec, query, show, stop, watch)


def render_line(described: dict[str, Any]) -> str:
    """One record as one line: time, place, key, event type and value, or why it has none."""
    place = f"{described['topic']}/{described['partition']}@{described['offset']}"
    key = "(no key)" if described["key"] is None else described["key"]
    if "error" in described:
        what = f"UNDECODABLE {described['error']}; bytes (base64): {described['bytes'] or ''}"
    else:
        what = f"{described['type']} {inline_json(described['value'])}"
    return f"{described['timestamp']} {place} {key} {what}"
