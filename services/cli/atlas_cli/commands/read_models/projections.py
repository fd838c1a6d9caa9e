"""`atlas projections`, `atlas rebuild` and `atlas rollback`: asked of the projector, which does the work."""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Self
from urllib.parse import quote

import typer
from typing_extensions import TypedDict

from atlas_cli.terminal.help_groups import READ_MODELS, add
from atlas_cli.terminal.output import CommandError, JsonFlag, confirm, console, print_json, print_rows, printable, say

if TYPE_CHECKING:
    from rich.progress import Progress

# On a pipe or in a log: a line now and then.
LINE_EVERY_S = 2.0

Name = Annotated[str, typer.Argument(metavar="NAME", help="The projection, as `atlas projections` lists it.")]


class _Generation(TypedDict):
    generation: int
    state: str
    events: int


class _Projection(TypedDict):
    name: str
    state: str
    generation: int | None
    version: int
    generations: list[_Generation]
    events_per_second: float
    reason: str | None


class _Listed(TypedDict):
    projections: list[_Projection]


class _Rolled(TypedDict):
    generation: int


class _Begun(TypedDict):
    topics: list[str]


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    add(parent, projections, "atlas projections", group=READ_MODELS)
    add(parent, rebuild, "atlas rebuild bookings", "atlas rebuild bookings --verify", group=READ_MODELS)
    add(parent, rebuild_into, "atlas rebuild-into bookings then --until 2013-06-01T00:00:00Z", group=READ_MODELS)
    add(parent, rollback, "atlas rollback bookings", group=READ_MODELS)
    add(parent, begin, "atlas begin bookings", group=READ_MODELS)


def projections(as_json: JsonFlag = False) -> None:
    """Every projection: what its loop is doing, its live generation, its rate."""
    found = _ask("GET", "/projections", _Listed)["projections"]
    if as_json:
        print_json(found)
        return
    rows = [
        {
            "projection": entry["name"],
            "state": entry["state"],
            "generation": entry["generation"],
            "version": entry["version"],
            "previous": next((g["generation"] for g in entry["generations"] if g["state"] == "previous"), None),
            "events": sum(g["events"] for g in entry["generations"] if g["state"] == "live"),
            "events/s": entry["events_per_second"],
            "reason": entry["reason"],
        }
        for entry in found
    ]
    print_rows(rows, as_json=False, empty="the projector is starting")


def rebuild(
    name: Name,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare with the live rows first; swap only if every row is the same.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Give up an unfinished rebuild instead of going on with it.")
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Stop the rebuild that runs; it can be gone on with.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask before rows of a topic that was made again are gone.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Build a read model again from its topics, beside the live one, then swap: reads never stop.

    Ctrl-C stops watching, not the rebuild. Exit code 1 if it fails; readers then keep what they had. Where a topic was
    made again and readers would lose rows of the one before, it says how many and asks first; without a terminal it
    refuses.
    """
    from atlas_cli.read_models import rebuilding
    from atlas_cli.settings import load_settings

    if cancel:
        state = _ask("DELETE", f"/projections/{quote(name, safe='')}/rebuild", rebuilding.State)
        print_json(state) if as_json else say(f"cancelled at {state['events']:,} events")
        return

    def run(*flags: str) -> dict[str, Any]:
        with _Watch(name, as_json) as watch:
            done = rebuilding.rebuild(load_settings(), name, verify=verify, flags=flags, on_progress=watch.show)
            return asyncio.run(done)

    result = _asking_first(run, fresh=fresh, yes=yes, can_ask=not as_json)
    if as_json:
        print_json(result)
    if result["identical"] is False:
        raise CommandError(
            f"{result['different_rows']:,} rows of {name} came out differently; readers keep the rows they had."
            " Run it without --verify to take the new ones"
        )
    if not as_json:
        same = ", identical to the generation before" if result["identical"] else ""
        say(
            f"{name}: generation {result['to_generation']} is live: {result['rows']:,} rows from"
            f" {result['events']:,} events in {result['seconds']:.1f} s{same}"
        )


def _asking_first(run: Callable[..., dict[str, Any]], *, fresh: bool, yes: bool, can_ask: bool) -> dict[str, Any]:
    """What `run` gives; where rows of a topic that was made again would be gone, whoever is at the terminal decides."""
    from atlas_cli.read_models import rebuilding

    try:
        return run(*(("fresh",) if fresh else ()), *(("though_missing",) if yes else ()))
    except rebuilding.RowsMissing as missing:
        if not can_ask or not sys.stdin.isatty():
            raise CommandError(f"{missing}; --yes swaps all the same") from None
        confirm(f"{missing}. Swap all the same?", yes=False)
    return run("though_missing")


def rebuild_into(
    name: Name,
    into: Annotated[str, typer.Argument(metavar="TABLE", help="The side table, readmodel.TABLE; made anew.")],
    until: Annotated[str | None, typer.Option(help="Records written before this time, RFC 3339.")] = None,
    key: Annotated[str | None, typer.Option(help="Records of this key.")] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="Events of this type.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Build some of a projection's history into a side table, to look into it; readers keep what they have."""
    from atlas_cli.read_models import rebuilding
    from atlas_cli.settings import load_settings

    selection = {"into": into, "until_ms": _until_ms(until), "key": key, "type": event_type}
    chosen = {option: value for option, value in selection.items() if value is not None}
    with _Watch(name, as_json) as watch:
        result = asyncio.run(rebuilding.rebuild(load_settings(), name, selection=chosen, on_progress=watch.show))
    if as_json:
        print_json(result)
    else:
        say(f"readmodel.{into}: {result['rows']:,} rows from {result['events']:,} events")


def _until_ms(until: str | None) -> str | None:
    from atlas_contracts.values.timestamps import parse_rfc3339

    try:
        return None if until is None else str(parse_rfc3339(until))
    except ValueError as error:
        raise CommandError(f"--until: {error}") from None


def rollback(name: Name, as_json: JsonFlag = False) -> None:
    """Show readers the generation before the last swap again; it then catches up from where it was."""
    result = _ask("POST", f"/projections/{quote(name, safe='')}/rollback", _Rolled)
    if as_json:
        print_json(result)
    else:
        say(f"readers of {name} see generation {result['generation']} again")


def begin(name: Name, as_json: JsonFlag = False) -> None:
    """Have a projection whose topic was deleted and made again read the new one from its start; its rows stay."""
    result = _ask("POST", f"/projections/{quote(name, safe='')}/begin", _Begun)
    if as_json:
        print_json(result)
    elif result["topics"]:
        say(f"{name} begins anew with {', '.join(result['topics'])}")
    else:
        say(f"{name} stands in the topics that are there: nothing to begin anew")


class _Watch:
    """Progress on stderr: a bar on a terminal, a line now and then elsewhere, nothing with --json."""

    def __init__(self, name: str, as_json: bool) -> None:
        self._name = name
        self._silent = as_json
        screen = console(err=True)
        self._bar = _bar(screen) if screen.is_terminal and not as_json else None
        self._line_at = 0.0

    def show(self, state: dict[str, Any]) -> None:
        """One state of the rebuild."""
        if self._bar is not None:
            total = state["events"] + state["remaining"]
            task = self._bar.task_ids[0]
            phase = printable(state["phase"])
            self._bar.update(task, completed=state["events"], total=total, rate=state["events_per_second"], phase=phase)
        elif not self._silent and time.monotonic() - self._line_at > LINE_EVERY_S:
            self._line_at = time.monotonic()
            say(
                f"{self._name}: {state['phase']}, {state['events']:,} events, {state['remaining']:,} to go,"
                f" {state['events_per_second']:,.0f}/s",
                err=True,
            )

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.add_task(printable(self._name), total=None, rate=0, phase="starting")
            self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def _bar(screen: Any) -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,.0f} events, {task.fields[rate]:,.0f}/s, {task.fields[phase]}", markup=False),
        TimeRemainingColumn(),
        console=screen,
    )


def _ask(method: str, path: str, shape: Any) -> Any:
    from atlas_cli.read_models import rebuilding
    from atlas_cli.settings import load_settings

    return asyncio.run(rebuilding.ask(load_settings(), method, path, shape))
