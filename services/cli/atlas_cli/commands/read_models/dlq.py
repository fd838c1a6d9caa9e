"""`atlas dlq ls | show | retry | drop | skip`: records that a projection could not handle.

The projector is asked. Where none answers, the databases are: what waits is shown as well, and what is asked for is
noted there and done when the projector is back.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer
from typing_extensions import TypedDict

from atlas_cli.terminal.help_groups import READ_MODELS, add
from atlas_cli.terminal.output import CommandError, JsonFlag, YesFlag, confirm, print_json, print_rows, say

# The loop that owns a record looks for what is asked four times a second; one that is away does not.
SETTLED_WITHIN_S = 15.0
POLL_S = 0.1

Id = Annotated[str, typer.Argument(metavar="ID", help="A record, as `atlas dlq ls` lists it.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID…", help="Records, as `atlas dlq ls` lists them.")]
Of = Annotated[str | None, typer.Option("--projection", help="All records of this projection.")]


class _Record(TypedDict):
    id: str
    key: str | None
    state: str
    attempts: int
    error: str | None
    request: str | None


class _Listed(TypedDict):
    records: list[_Record]
    asked: int


class _Shown(TypedDict):
    headers: dict[str, Any]
    value: Any
    raw: dict[str, Any]


class _Skipped(TypedDict):
    skipped: list[str]


class _Asked(TypedDict):
    asked: list[str]
    count: int


def register(parent: typer.Typer) -> None:
    """Add the group `dlq`."""
    group = typer.Typer(
        help="Records that a projection could not handle, and those that wait for them.", no_args_is_help=True
    )
    add(group, ls, "atlas dlq ls bookings --all")
    add(group, show, "atlas dlq show bookings/bookings.events/0@17 --raw")
    add(group, retry, "atlas dlq retry bookings/bookings.events/0@17", "atlas dlq retry --projection bookings")
    add(group, drop, "atlas dlq drop bookings/bookings.events/0@17", "atlas dlq drop --projection bookings --yes")
    add(group, skip, 'atlas dlq skip bookings/bookings.events/0@18 --reason "it ends the process"')
    parent.add_typer(group, name="dlq", rich_help_panel=READ_MODELS)


def ls(
    projection: Annotated[str | None, typer.Argument(help="Only this projection.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that wait behind one of their key.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Records that could not be handled or came before an earlier version, with the reason."""
    query = {**({"projection": projection} if projection else {}), **({"all": "1"} if everything else {})}
    found = _ask("GET", f"/dead-letters?{urlencode(query)}", _Listed)
    rows = [{name: record[name] for name in ("id", "key", "state", "attempts", "error")} for record in found["records"]]
    print_rows(found["records"] if as_json else rows, as_json=as_json, empty="nothing waits")


def show(
    record: Id,
    raw: Annotated[bool, typer.Option("--raw", help="Key, headers and value as bytes in hexadecimal.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """One record whole: its event, headers, and why it waits; --raw: as it is, byte for byte."""
    found = _ask("GET", f"/dead-letters/{quote(record, safe='/@')}", _Shown)
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        if name not in ("headers", "value", "raw"):
            say(f"{name:14} {'' if value is None else value}")
    if raw:
        say(f"key bytes      {found['raw']['key']}")
        for name, value in found["raw"]["headers"]:
            say(f"header bytes   {name}: {value}")
        say(f"value bytes    {found['raw']['value']}")
        return
    for name, value in found["headers"].items():
        say(f"header         {name}: {value}")
    print_json(found["value"])


def retry(ids: Ids = None, projection: Of = None, as_json: JsonFlag = False) -> None:
    """Handle records again, each with all that waits of its key, in order. Exit code 1 if one fails again."""
    _settle("retry", ids, projection, as_json)


def drop(
    ids: Ids = None,
    projection: Of = None,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Give records up for good; what waited behind them is handled. A rebuild leaves them out as well."""
    confirm("Their events will never be in the read model. Give them up?", yes=yes)
    _settle("drop", ids, projection, as_json)


def skip(
    ids: Annotated[list[str], typer.Argument(metavar="ID…", help="<projection>/<topic>/<partition>@<offset>")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept beside the record's place.")],
    as_json: JsonFlag = False,
) -> None:
    """Have records stepped over that were not read yet, by place and for good: live and in every rebuild."""
    done = _ask("POST", "/dead-letters/skip", _Skipped, {"ids": ids, "reason": reason})
    if as_json:
        print_json(done)
    else:
        say(f"{len(done['skipped'])} records will be stepped over")


def _settle(what: str, ids: list[str] | None, projection: str | None, as_json: bool) -> None:
    if bool(ids) == bool(projection):
        raise CommandError("say which records: ids, or --projection")
    body = {"ids": ids} if ids else {"projection": projection}
    away: list[str] = []
    found = _ask("POST", f"/dead-letters/{what}", _Asked, body, on_away=away.append)
    asked, count = found["asked"], found["count"]
    if missing := set(ids or ()) - set(asked):
        raise CommandError(f"{', '.join(sorted(missing))}: no such record waits")
    if away:
        if as_json:
            print_json({"noted": asked, "count": count})
        else:
            say(f"{count} records: noted, and done when the projector is back")
        return
    failed = _until_settled(asked)
    if as_json:
        print_json({"settled": [record for record in asked if record not in failed], "failed": failed, "count": count})
    if failed:
        first, error = next(iter(failed.items()))
        raise CommandError(f"{len(failed)} of {count} records failed again, {first}: {error}")
    if not as_json:
        say(f"{count} records {'handled' if what == 'retry' else 'given up'}")


def _until_settled(asked: list[str]) -> dict[str, str]:
    """Wait for the loops, as long as they get on; the records that still wait, with the reason."""
    deadline, left = time.monotonic() + SETTLED_WITHIN_S, -1
    while True:
        found = _ask("GET", "/dead-letters?all=1", _Listed)
        waiting = {record["id"]: record for record in found["records"]}
        open_ = [record for record in asked if record in waiting]
        # One that was listed just before it was settled shows what was asked of it still.
        if not found["asked"] and not any(waiting[record]["request"] for record in open_):
            return {record: waiting[record]["error"] or "it waits behind another" for record in open_}
        if found["asked"] != left:
            deadline, left = time.monotonic() + SETTLED_WITHIN_S, found["asked"]
        if time.monotonic() > deadline:
            raise CommandError(f"no projector took it up in {SETTLED_WITHIN_S:g} s: is the projection running?")
        time.sleep(POLL_S)


def _ask(method: str, path: str, shape: Any, body: Any = None, on_away: Callable[[str], None] = lambda _: None) -> Any:
    """The projector's answer, or that of the databases; `on_away` hears that no projector answered."""
    from atlas_cli.asking import NoAnswer
    from atlas_cli.read_models import rebuilding, unattended
    from atlas_cli.settings import load_settings

    settings = load_settings()
    try:
        return asyncio.run(rebuilding.ask(settings, method, path, shape, body))
    except NoAnswer as away:
        on_away(str(away))
        return asyncio.run(unattended.answer(settings, method, path, body))
