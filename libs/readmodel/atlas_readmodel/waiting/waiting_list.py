"""Records that wait, as an operator sees them and says what is to be done: with or without the service that owns them.

A record's id is `<projection>/<topic>/<partition>@<offset>`. What is asked for is noted beside the record; the loop
that owns it does it, at its next start where it is down.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from atlas_readmodel.documents import DocumentModel, Documents
from atlas_readmodel.store import Store
from atlas_readmodel.stores import Stores
from atlas_readmodel.table import ReadModel, Table
from atlas_readmodel.waiting.parking import Decision, Parked, Place, Ruling

LIMIT_MAX = 1000
_ID = re.compile(
    r"(?P<projection>[a-z0-9_]+)/(?P<topic>[A-Za-z0-9._:-]+)/(?P<partition>\d{1,9})@(?P<offset>\d{1,18})", re.ASCII
)


class NotThere(LookupError):
    """No such projection, or no such record waits."""


async def stores_by_name(stores: Stores) -> dict[str, Store]:
    """The store of every projection there is, for who has none of their code: good for what is in this module."""
    table = Table({"id": "text"}, ("id",))
    rows = await stores.pool.fetch(
        "SELECT name FROM readmodel.projections p WHERE EXISTS"
        " (SELECT FROM readmodel.generations g WHERE g.projection = p.name AND g.topics <> '{}')"
    )
    found = {row["name"]: stores.of(ReadModel(row["name"], 1, (), table)) for row in rows}
    async for name in stores.redis.scan_iter(f"{stores.namespace}:{{*}}"):
        projection = name.decode().removeprefix(f"{stores.namespace}:{{").removesuffix("}")
        if projection not in found and "}" not in projection:
            found[projection] = stores.of(DocumentModel(projection, 1, (), Documents(("id",))))
    return found


def parse_id(text: str) -> tuple[str, Place]:
    """The projection and the place in an id. Raises ValueError."""
    match = _ID.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:100]!r} is no record: expected <projection>/<topic>/<partition>@<offset>")
    return match["projection"], (match["topic"], int(match["partition"]), int(match["offset"]))


def id_of(projection: str, place: Place) -> str:
    """The id of a record."""
    topic, partition, offset = place
    return f"{projection}/{topic}/{partition}@{offset}"


async def listed(stores: Mapping[str, Store], only: str | None, everything: bool) -> dict[str, Any]:
    """Up to LIMIT_MAX records that wait, how many do, and for how many something is asked that is not done yet."""
    states = ["dead", "early", "behind"] if everything else ["dead", "early"]
    records: list[dict[str, Any]] = []
    count = asked = 0
    for name, store in sorted(stores.items()):
        if only in (None, name):
            waiting = await store.parked(states, LIMIT_MAX - len(records))
            records += [_entry(name, record) for record in waiting.records]
            count += waiting.count
            asked += waiting.asked
    return {"records": records, "waiting": count, "asked": asked}


async def shown(stores: Mapping[str, Store], text: str, decode: Callable[[bytes | None], Any]) -> dict[str, Any]:
    """A record whole: as text as far as it is, and its bytes. Raises NotThere, ValueError."""
    name, place = parse_id(text)
    record = await stores[name].parked_at(place) if name in stores else None
    if record is None:
        raise NotThere(f"{text} does not wait")
    return _entry(name, record) | {
        "headers": {name: None if value is None else _text(value) for name, value in record.headers},
        "value": decode(record.value),
        "raw": {
            "key": None if record.key is None else record.key.hex(),
            "value": None if record.value is None else record.value.hex(),
            "headers": [[name, None if value is None else value.hex()] for name, value in record.headers],
        },
    }


async def ask(stores: Mapping[str, Store], what: str, ids: Sequence[str], projection: str | None) -> dict[str, Any]:
    """Note that these records, or all of a projection that are dead or early, should be retried or dropped.

    Gives the ids of up to LIMIT_MAX of those that wait, and how many they are.
    """
    wanted: dict[str, list[Place] | None] = {} if projection is None else {projection: None}
    for text in ids:
        name, place = parse_id(text)
        places = wanted.setdefault(name, [])
        if places is not None:
            places.append(place)
    asked: list[str] = []
    count = 0
    for name, chosen in wanted.items():
        if name in stores:
            found = await stores[name].ask(what, chosen)
            count += len(found)
            asked += [id_of(name, place) for place in found[: LIMIT_MAX - len(asked)]]
    return {"asked": asked, "count": count}


async def skip(stores: Mapping[str, Store], ids: Sequence[str], reason: str) -> dict[str, Any]:
    """Have records stepped over unread, by every generation: those ahead of the projection, or waiting (then dropped).

    Raises NotThere for one that was handled, and nothing is done; `atlas leave-out` is for these.
    """
    rulings: dict[str, list[Ruling]] = {}
    waiting: dict[str, list[Place]] = {}
    for text in ids:
        name, place = parse_id(text)
        store = stores.get(name)
        live = None if store is None else await store.in_state("live")
        if store is None or live is None:
            raise NotThere(f"there is no projection {name}; there are {', '.join(sorted(stores))}")
        if await store.parked_at(place) is not None:
            waiting.setdefault(name, []).append(place)
            continue
        at = (await store.rows(live.number).positions()).get(place[:2])
        if at is None:
            raise NotThere(f"{name} reads no partition {place[0]}/{place[1]}")
        if place[2] < at:
            raise NotThere(f"{text} was handled already; atlas leave-out has rebuilds leave it out")
        rulings.setdefault(name, []).append(Ruling(place, Decision.SKIPPED, reason))
    for name, places in waiting.items():
        await stores[name].ask("drop", places)
    for name, made in rulings.items():
        await stores[name].rule(made)
    return {"skipped": list(ids)}


def _entry(projection: str, record: Parked) -> dict[str, Any]:
    return {
        "id": id_of(projection, record.place),
        "projection": projection,
        "key": None if record.key is None else _text(record.key),
        "state": record.state,
        "error": record.error,
        "attempts": record.attempts,
        "request": record.request,
        "timestamp_ms": record.timestamp_ms,
        "parked_at_ms": record.parked_at_ms,
    }


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
