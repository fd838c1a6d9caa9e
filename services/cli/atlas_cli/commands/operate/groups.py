"""`atlas groups`: who reads, by which protocol, and from where."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer
from typing_extensions import TypedDict

from atlas_cli.settings import CliSettings, load_settings
from atlas_cli.terminal.help_groups import OPERATE, add
from atlas_cli.terminal.output import JsonFlag, print_rows

if TYPE_CHECKING:
    from atlas_cli.asking import Service

TIMEOUT_S = 20.0
PAGE_ROWS = 500
SPARE_COLUMNS = ("empty", "topics")


class _Member(TypedDict):
    id: str
    client_id: str
    host: str
    partitions: Mapping[str, list[int]]


class _Group(TypedDict):
    group: str
    protocol: str | None
    state: str | None
    topics: list[str]
    committed: bool
    records: int
    seconds: float | None
    members_count: int | None
    empty_members: int | None
    members: list[_Member]


class _Groups(TypedDict):
    items: list[_Group]
    next_cursor: str | None


def register(app: typer.Typer) -> None:
    """Add `groups`."""
    add(app, groups, "atlas groups", "atlas groups --group relay --members", group=OPERATE)


def groups(
    group: Annotated[str | None, typer.Option(help="Only this consumer group.")] = None,
    members: Annotated[bool, typer.Option("--members", help="A row for each member.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Every consumer group: protocol, state, members, and what it is behind; also those that have committed nothing.

    Protocols are classic, consumer (KIP-848), share and streams. `empty` are members that have no partition. --json has
    the members of each group, with or without --members.
    """
    found = asyncio.run(_read(load_settings(), group))
    empty = "the brokers know no group"
    if as_json:
        print_rows([{**each} for each in found], as_json=True)
    elif members:
        rows = [_member_row(each, member) for each in found for member in each["members"]]
        print_rows(rows, as_json=False, empty="no group has members")
    else:
        print_rows([_row(each) for each in found], as_json=False, empty=empty, spare=SPARE_COLUMNS)


def _row(group: _Group) -> dict[str, object]:
    return {
        "group": group["group"],
        "protocol": group["protocol"],
        "state": group["state"],
        "members": group["members_count"],
        "empty": group["empty_members"],
        "topics": len(group["topics"]),
        "records": group["records"] if group["topics"] else None,
        "seconds": group["seconds"],
    }


def _member_row(group: _Group, member: _Member) -> dict[str, object]:
    return {
        "group": group["group"],
        "client_id": member["client_id"],
        "host": member["host"],
        "partitions": sum(len(partitions) for partitions in member["partitions"].values()),
    }


async def _read(settings: CliSettings, group: str | None) -> list[_Group]:
    query = {"limit": str(PAGE_ROWS)} | ({} if group is None else {"group": group})
    found: dict[str, _Group] = {}
    while True:
        answer: _Groups = await _aggregator(settings).ask("GET", "/groups", _Groups, query=query)
        found |= {each["group"]: each for each in answer["items"]}
        if answer["next_cursor"] is None:
            return list(found.values())
        query["cursor"] = answer["next_cursor"]


def _aggregator(settings: CliSettings) -> "Service":
    from atlas_cli.asking import Service

    return Service("health-aggregator", settings.health_url, TIMEOUT_S)
