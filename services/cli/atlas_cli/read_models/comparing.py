"""A read model held against the state that it is of: what `atlas compare` does, without the printing."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

import asyncpg
from typing_extensions import TypedDict

from atlas_cli.terminal.output import CommandError

# More would be another fault than forged events, and each is looked for on the topic.
DIFFERENCES_MAX = 1000
# An event is on its way for less than this, unless something is behind: then `atlas lag` says so.
SETTLED_WITHIN_S = 5.0
_POLL_S = 0.25
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?")

# 1.5 and 1.50 are one number, whatever the scale of the columns. (A CASE looks at its second part only where it is so.)
_TEXT = "CASE WHEN pg_typeof({0}) = 'numeric'::regtype THEN trim_scale({0}::text::numeric)::text ELSE {0}::text END"
# What the text of a value depends on, the same on both sides.
SESSION = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
}

Key = tuple[str, ...]
Row = Mapping[str, str | None]


class Owned(TypedDict):
    """What a projection says of the state that owns its rows; `columns` of the read model by the owner's."""

    table: str
    read_model: str
    key: list[str]
    version: str | None
    columns: dict[str, str]
    topics: list[str]


@dataclass(frozen=True, slots=True)
class Difference:
    """An entity whose rows differ; None where a side has none. Values are text."""

    key: Key
    owner: Row | None
    read_model: Row | None

    def fields(self) -> dict[str, tuple[str | None, str | None]]:
        """What differs, by column: the owner's, the read model's."""
        ours, theirs = self.owner or {}, self.read_model or {}
        names = [name for name in (ours or theirs) if ours.get(name) != theirs.get(name)]
        return {name: (ours.get(name), theirs.get(name)) for name in names}

    def verdict(self, version: str | None) -> str:
        """In words, which side knows more."""
        if self.read_model is None:
            return "not in the read model"
        if self.owner is None:
            return "in the read model only"
        ours, theirs = (int(row.get(version or "") or 0) for row in (self.owner, self.read_model))
        if ours == theirs:
            return "differs at the same version" if version else "differs"
        return f"the read model is {'behind' if theirs < ours else 'ahead of its owner'}"


class Rows(Protocol):
    """The rows of one side, as text."""

    def all(self) -> AsyncIterator[tuple[Key, Row]]:
        """Every row, in the order of the key's bytes."""

    async def of(self, keys: Sequence[Key]) -> dict[Key, Row]:
        """The rows of these keys."""


class TableRows:
    """A side that is a table or view of PostgreSQL; `names` are its columns by those of the read model."""

    def __init__(
        self, connection: "asyncpg.Connection[Any]", relation: str, names: Mapping[str, str], key: Sequence[str]
    ):
        """Raises CommandError for what is no name."""
        for name in (relation, *names.values()):
            if not _NAME.fullmatch(name):
                raise CommandError(f"{name!r} is not the name of a table or column")
        self._connection = connection
        self._columns = list(names)
        self._key = [list(names).index(column) for column in key]
        # One expression orders both sides alike, whatever the types of their columns.
        parts = [f"{_quoted(names[column])}::text" for column in key]
        shown = ", ".join(_TEXT.format(_quoted(name)) for name in names.values())
        order = ", ".join(f'{part} COLLATE "C"' for part in parts)
        self._select = f"SELECT {shown} FROM {_quoted(relation)}"
        self._ordered = f"{self._select} ORDER BY {order}"
        arrays = ", ".join(f"${n}::text[]" for n in range(1, len(key) + 1))
        self._of = f"{self._select} WHERE ({', '.join(parts)}) IN (SELECT * FROM unnest({arrays}))"

    async def all(self) -> AsyncIterator[tuple[Key, Row]]:
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            async for record in self._connection.cursor(self._ordered, prefetch=1000):
                yield self._row(record)

    async def of(self, keys: Sequence[Key]) -> dict[Key, Row]:
        arrays = [list(column) for column in zip(*keys, strict=True)]
        return dict(self._row(record) for record in await self._connection.fetch(self._of, *arrays))

    def _row(self, record: "asyncpg.Record") -> tuple[Key, Row]:
        values = tuple(record)
        return tuple(str(values[at]) for at in self._key), dict(zip(self._columns, values, strict=True))


async def differences(
    owner: Rows, read_model: Rows, settle_s: float = SETTLED_WITHIN_S
) -> tuple[list[Difference], int]:
    """The entities whose rows differ and still do after `settle_s`, DIFFERENCES_MAX at most; how many were compared.

    Events are on their way while this reads, so what differs at first is read again until it does not, or time is up.
    """
    found: dict[Key, Difference] = {}
    compared = 0
    async with aclosing(_merged(owner.all(), read_model.all())) as pairs:
        async for key, ours, theirs in pairs:
            compared += 1
            if ours != theirs:
                found[key] = Difference(key, ours, theirs)
                if len(found) == DIFFERENCES_MAX:
                    break
    deadline = time.monotonic() + settle_s
    while found and time.monotonic() < deadline:
        await asyncio.sleep(_POLL_S)
        keys = list(found)
        theirs_now = await read_model.of(keys)
        ours_now = await owner.of(keys)  # the owner's last: it is ahead at most, by what is on its way
        found = {
            key: Difference(key, ours_now.get(key), theirs_now.get(key))
            for key in keys
            if ours_now.get(key) != theirs_now.get(key)
        }
    return list(found.values()), compared


async def _merged(
    ours: AsyncIterator[tuple[Key, Row]], theirs: AsyncIterator[tuple[Key, Row]]
) -> AsyncGenerator[tuple[Key, Row | None, Row | None], None]:
    """Both sides side by side, in the order of the key."""
    one, other = await anext(ours, None), await anext(theirs, None)
    while one is not None or other is not None:
        key = min(_ordered(each[0]) for each in (one, other) if each is not None)
        mine = one if one is not None and _ordered(one[0]) == key else None
        its = other if other is not None and _ordered(other[0]) == key else None
        found = mine or its
        assert found is not None, "the key is one of theirs"
        yield found[0], mine and mine[1], its and its[1]
        if mine is not None:
            one = await anext(ours, None)
        if its is not None:
            other = await anext(theirs, None)


def _ordered(key: Key) -> tuple[bytes, ...]:
    return tuple(part.encode() for part in key)


def _quoted(name: str) -> str:
    return ".".join(f'"{part}"' for part in name.split("."))


def shown(differences: Iterable[Difference], version: str | None) -> list[dict[str, Any]]:
    """As people and programs are shown them."""
    return [
        {
            "key": "/".join(each.key),
            "verdict": each.verdict(version),
            "fields": {name: {"owner": ours, "read_model": theirs} for name, (ours, theirs) in each.fields().items()},
        }
        for each in differences
    ]
