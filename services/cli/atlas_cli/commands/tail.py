"""`atlas tail`: read a topic as it is, decoded, from where you say, until Ctrl-C."""

import asyncio
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas_cli.output import JsonFlag, inline_json, print_json, say

if TYPE_CHECKING:
    from atlas_cli.following import Query


def register(parent: typer.Typer) -> None:
    """Add the command."""
    parent.command("tail")(tail)


def tail(
    topic: Annotated[str, typer.Argument(help="Any topic, a dead-letter topic too.")],
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
    as_json: JsonFlag = False,
) -> None:
    """Print events as they arrive, one a line, until Ctrl-C or -n. With --json, one JSON document a line."""
    from atlas_cli.following import Query, parse_start

    query = Query(
        topic=topic,
        start=parse_start(start, now_ms=time.time_ns() // 1_000_000),
        key=None if key is None else key.encode(),
        type=event_type,
        count=count,
    )

    def show(described: dict[str, Any]) -> None:
        if as_json:
            print_json(described, one_line=True)
        else:
            say(render_line(described))

    asyncio.run(_run(query, show))


async def _run(query: "Query", show: Callable[[dict[str, Any]], None]) -> None:
    from atlas_contracts.codec import Codec

    from atlas_cli.connect import kafka_reader, load_registry
    from atlas_cli.following import follow
    from atlas_cli.settings import load_settings

    settings = load_settings()
    codec = Codec(load_registry(settings))
    stop = asyncio.Event()
    # Ctrl-C is how a tail ends: exit code 0, not a traceback.
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    async with kafka_reader(settings) as reader:
        await follow(reader, codec, query, show, stop)


def render_line(described: dict[str, Any]) -> str:
    """One record as one line: time, place, key, event type and value, or why it has none."""
    place = f"{described['topic']}/{described['partition']}@{described['offset']}"
    key = "(no key)" if described["key"] is None else described["key"]
    if "error" in described:
        what = f"UNDECODABLE {described['error']}; bytes (base64): {described['bytes'] or ''}"
    else:
        what = f"{described['type']} {inline_json(described['value'])}"
    return f"{described['timestamp']} {place} {key} {what}"
