"""State that commands decide on: rows of one table, one an entity, with the event of each change beside them.

    BOOKINGS = Entity("bookings", "app.bookings", key="booking_id", what="booking")

    async def effect(connection: Connection) -> Answer:
        return await BOOKINGS.create(connection, request, "bookings.SeatBooked", {"seat": "12C"})

The table has the key (`uuid`), `version` (`bigint`) and a column for each value that a command sets. `version` counts
the entity's events and is their `ce_sequence`. The event takes of the row, in JSON's forms, the fields that it has.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from aiohttp import hdrs, web
from atlas_contracts.errors import InvalidEvent
from atlas_contracts.headers import new_id
from atlas_readmodel.columns.json_rows import plain_row
from atlas_readmodel.token import Token
from atlas_runtime.metrics import timed_query
from pydantic import BaseModel

from atlas_http import commands
from atlas_http.consistency import HEADER as TOKEN
from atlas_http.idempotency import REPLAYED, Answer, Connection
from atlas_http.problems import INVALID, NOT_FOUND, STALE_VERSION, TEXT_MAX, Kind, Problem, field_error, invalid
from atlas_http.resources import RESOURCES, Resources
from atlas_http.routes import JSON, Part, header, path_parameter

TAKEN = Kind("already-there", 409, "Another entity has it already")
HEADERS = {
    "ETag": "The version, quoted; for If-Match",
    TOKEN: "Send it with a query that has to see this write",
    REPLAYED: "true when this is the stored answer of an earlier request",
}
IF_MATCH: Part = header(hdrs.IF_MATCH, "The ETag of the entity as you know it, or *", {"type": "string"})
# "Key (flight_id, seat)=(UA1, 12C) already exists.": the columns alone, for the values are not the caller's to see.
_COLUMNS_OF = re.compile(r"Key \(([^)]*)\)=")

Row = Mapping[str, Any]


class Changed(BaseModel):
    """What a command did: of which entity, and the version that it is at now."""

    id: str
    version: int


@dataclass(frozen=True)
class Entity:
    """`name`: the read model that shows it, which the Atlas-Token waits for; `what`: one of them, in words.

    `table` as schema.name; `key`: its column, a UUID, which each of the events has too.
    """

    name: str
    table: str
    key: str
    what: str

    async def create(
        self, connection: Connection, request: web.Request, event_type: str, values: Mapping[str, Any]
    ) -> Answer:
        """A new one, at version 1, and its event. 201 with Location.

        Problems: 409 where a unique constraint has it already; 422 where the table or the event's schema refuse it.
        """
        row = {self.key: UUID(new_id()), **values, "version": 1}
        columns = ", ".join(_quoted(name) for name in row)
        places = ", ".join(f"${number + 1}" for number in range(len(row)))
        sql = f"INSERT INTO {self.table} ({columns}) VALUES ({places}) RETURNING *"
        with timed_query(f"{self.name}.create"), self._refusals():
            made = await connection.fetchrow(sql, *row.values())
        assert made is not None
        await self._emit(connection, request.app[RESOURCES], event_type, dict(made))
        return self._answer(201, dict(made), {hdrs.LOCATION: f"/{self.name.replace('_', '-')}/{made[self.key]}"})

    async def change(
        self, connection: Connection, request: web.Request, event_type: str, values: Mapping[str, Any]
    ) -> Answer:
        """Set these values of the one that the path names, and tell of it.

        Problems: 404; 412 where If-Match is another version; 409 and 422 as of `create`.
        """
        row = await self.locked(connection, request)
        sets = ", ".join(f"{_quoted(name)} = ${number + 2}" for number, name in enumerate(values))
        sql = (
            f"UPDATE {self.table} SET {sets}{', ' if sets else ''}version = version + 1"
            f" WHERE {_quoted(self.key)} = $1 RETURNING *"
        )
        with timed_query(f"{self.name}.change"), self._refusals():
            made = await connection.fetchrow(sql, row[self.key], *values.values())
        assert made is not None
        await self._emit(connection, request.app[RESOURCES], event_type, dict(made))
        return self._answer(200, dict(made), {})

    async def locked(self, connection: Connection, request: web.Request) -> Row:
        """The row that the path names, locked until the commit, so that the order of its events is that of versions."""
        text = request.match_info[self.key]
        try:
            key = UUID(text)
        except ValueError:
            raise Problem(NOT_FOUND, f"There is no such {self.what}: the id is not a UUID.") from None
        with timed_query(f"{self.name}.lock"):
            sql = f"SELECT * FROM {self.table} WHERE {_quoted(self.key)} = $1 FOR UPDATE"
            found = await connection.fetchrow(sql, key)
        if found is None:
            raise Problem(NOT_FOUND, f"There is no {self.what} {key}.")
        require_version(request.headers.get(hdrs.IF_MATCH), found["version"], self.what)
        return dict(found)

    def path_parameter(self) -> Part:
        """The key in a path, for the documentation."""
        return path_parameter(self.key, {"type": "string", "format": "uuid"})

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """What the table refuses is the request's fault: a unique constraint 409, any other and a value 422."""
        try:
            yield
        except asyncpg.UniqueViolationError as error:
            found = _COLUMNS_OF.match(error.detail or "")
            columns = found[1] if found else error.constraint_name
            raise Problem(TAKEN, f"Another {self.what} has the same {columns}.") from None
        except asyncpg.IntegrityConstraintViolationError as error:
            rule = error.constraint_name or f"{error.column_name} must not be null"
            raise Problem(INVALID, f"The {self.what} breaks the rule {rule}.") from None
        except asyncpg.DataError as error:
            raise Problem(INVALID, f"The {self.what} can't be held: {str(error)[:TEXT_MAX]}.") from None

    async def _emit(self, connection: Connection, resources: Resources, event_type: str, row: Row) -> None:
        try:
            value = event_value(resources, event_type, row)
        except InvalidEvent as refused:
            errors = [field_error(error.path, error.found, error.expected) for error in refused.errors]
            raise invalid(errors, f"The {self.what} is no {event_type}.") from None
        await commands.emit(connection, resources, event_type, value, self._of(row))

    def _of(self, row: Row) -> commands.Of:
        return commands.Of(str(row[self.key]), row["version"], int(now().timestamp() * 1000))

    def _answer(self, status: int, row: Row, headers: Mapping[str, str]) -> Answer:
        key, version = str(row[self.key]), row["version"]
        token = str(Token.of_entity(self.name, key, version))
        standing = {hdrs.CONTENT_TYPE: JSON, hdrs.ETAG: f'"{version}"', TOKEN: token}
        return Answer(status, orjson.dumps({"id": key, "version": version}), {**standing, **headers})


def require_version(if_match: str | None, version: int, what: str) -> None:
    """Raise a 412 problem where the header If-Match is there and names another version than the entity is at."""
    # It compares strongly (RFC 9110): a weak tag, W/"3", matches nothing.
    tags = {tag.strip().strip('"') for tag in if_match.split(",")} if if_match is not None else {"*"}
    if not tags & {"*", str(version)}:
        raise Problem(
            STALE_VERSION,
            f"The {what} is at version {version}; read it again and decide anew.",
            headers={hdrs.ETAG: f'"{version}"'},
            version=version,
        )


def now() -> datetime:
    """The time in UTC, as exact as `timestamp-millis` is."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def event_value(resources: Resources, event_type: str, row: Row) -> dict[str, Any]:
    """The event that tells of a row: of its columns those that the event has. Raises InvalidEvent with every fault."""
    fields = [field["name"] for field in resources.registry.latest(event_type).parsed["fields"]]
    return resources.codec.from_json(event_type, plain_row({name: row[name] for name in fields if name in row}))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
