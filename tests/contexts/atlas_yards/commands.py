"""Commands on yards: the state row, the idempotency key and the event, in one transaction.

The event is final when it is written to the outbox: Avro bytes, key, headers. Readers see it through the projection
`yards`; the answer's Atlas-Token lets a query wait for that.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import asyncpg
from aiohttp import hdrs, web
from atlas_contracts.headers import new_id
from atlas_http import commands, idempotency
from atlas_http.commands import Of
from atlas_http.entities import require_version
from atlas_http.idempotency import KEY_PARAMETER, Answer, Connection
from atlas_http.incoming import read_command
from atlas_http.problems import NOT_FOUND, VERSION_REQUIRED, Kind, Problem
from atlas_http.resources import RESOURCES, Resources
from atlas_http.routes import Route, answer, header, json_body, path_parameter
from atlas_http.rows import document
from atlas_readmodel.token import Token
from atlas_runtime.metrics import timed_query
from atlas_yards.bodies import ChangeProfile, DeactivateYard, RegisterYard, Yard
from atlas_yards.flags import REGISTRATION

TOKEN = "Atlas-Token"
REGISTRATION_CLOSED = Kind("registration-closed", 409, "Registration is closed")
EMAIL_TAKEN = Kind("email-taken", 409, "The address belongs to another yard")
DEACTIVATED = Kind("yard-deactivated", 409, "The yard is deactivated")

_COLUMNS = "yard_id, email, display_name, country, status, version, registered_at, updated_at"
_INSERT = f"""
INSERT INTO app.yards (yard_id, email, display_name, country, registered_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $5) RETURNING {_COLUMNS}
"""
_LOCK = f"SELECT {_COLUMNS} FROM app.yards WHERE yard_id = $1 FOR UPDATE"
_CHANGE = f"""
UPDATE app.yards SET email = $2, display_name = $3, country = $4, updated_at = $5, version = version + 1
WHERE yard_id = $1 RETURNING {_COLUMNS}
"""
_DEACTIVATE = f"""
UPDATE app.yards SET status = 'deactivated', updated_at = $2, version = version + 1
WHERE yard_id = $1 RETURNING {_COLUMNS}
"""

Row = Mapping[str, Any]


async def register_yard(request: web.Request) -> web.Response:
    """Make a yard. 201 with Location, ETag and Atlas-Token; 409 when the address is taken or nobody may register."""
    resources = request.app[RESOURCES]
    body = await read_command(request, RegisterYard)

    async def effect(connection: Connection) -> Answer:
        if not REGISTRATION.value():  # in here, so that a key that was answered before gets its answer again
            raise Problem(REGISTRATION_CLOSED, "Nobody can register now; try again later.")
        with timed_query("yards.register"), _unique_email(body.email):
            row = await _one(
                connection, _INSERT, UUID(new_id()), body.email, body.display_name, body.country, _now_ms()
            )
        assert row is not None
        await _emit(
            connection,
            resources,
            "yards.YardRegistered",
            row,
            _profile(row) | {"registered_at": row["registered_at"]},
        )
        return _answer(201, row, {hdrs.LOCATION: f"/yards/{row['yard_id']}"})

    return await commands.run(request, body, effect)


async def change_profile(request: web.Request) -> web.Response:
    """Change what is given of a profile. If-Match has to name the version; nothing new is no event."""
    resources = request.app[RESOURCES]
    yard_id = _yard_id(request)
    if hdrs.IF_MATCH not in request.headers:
        raise Problem(VERSION_REQUIRED, "Send the yard's ETag in If-Match, so that no one's change is lost.")
    body = await read_command(request, ChangeProfile)

    async def effect(connection: Connection) -> Answer:
        row = await _locked(connection, yard_id, request.headers[hdrs.IF_MATCH])
        new = {name: getattr(body, name) for name in body.model_fields_set}
        if all(row[name] == value for name, value in new.items()):
            return _answer(200, row)
        profile = {**row, **new}
        with timed_query("yards.change"), _unique_email(profile["email"]):
            row = await _one(
                connection,
                _CHANGE,
                yard_id,
                profile["email"],
                profile["display_name"],
                profile["country"],
                _now_ms(),
            )
        assert row is not None
        await _emit(
            connection,
            resources,
            "yards.YardProfileChanged",
            row,
            _profile(row) | {"changed_at": row["updated_at"]},
        )
        return _answer(200, row)

    return await commands.run(request, body, effect)


async def deactivate_yard(request: web.Request) -> web.Response:
    """Close an account; its address stays taken. If-Match is heeded when sent."""
    resources = request.app[RESOURCES]
    yard_id = _yard_id(request)
    body = await read_command(request, DeactivateYard)

    async def effect(connection: Connection) -> Answer:
        await _locked(connection, yard_id, request.headers.get(hdrs.IF_MATCH))
        with timed_query("yards.deactivate"):
            row = await _one(connection, _DEACTIVATE, yard_id, _now_ms())
        value = {"yard_id": str(row["yard_id"]), "reason": body.reason, "deactivated_at": row["updated_at"]}
        await _emit(connection, resources, "yards.YardDeactivated", row, value)
        return _answer(200, row)

    return await commands.run(request, body, effect)


async def _locked(connection: Connection, yard_id: UUID, if_match: str | None) -> Row:
    """The yard's row, locked until the commit; a problem when absent, deactivated or at another version."""
    with timed_query("yards.lock"):
        found = await connection.fetchrow(_LOCK, yard_id)
    if found is None:
        raise Problem(NOT_FOUND, f"There is no yard {yard_id}.")
    row = dict(found)
    if row["status"] == "deactivated":
        raise Problem(DEACTIVATED, f"The yard {yard_id} is deactivated and can't be changed.")
    require_version(if_match, row["version"], "yard")
    return row


async def _one(connection: Connection, sql: str, *values: object) -> Row:
    """The one row that the statement returns."""
    (row,) = await connection.fetch(sql, *values)
    return dict(row)


async def _emit(connection: Connection, resources: Resources, event_type: str, row: Row, value: dict[str, Any]) -> None:
    """The row's lock is held, so outbox ids rise with the yard's versions."""
    subject, version, time_ms = str(row["yard_id"]), row["version"], row["updated_at"]
    await commands.emit(connection, resources, event_type, value, Of(subject, version, time_ms))


@contextmanager
def _unique_email(email: str) -> Iterator[None]:
    """Turn the violation of the unique address into a problem."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "yards_email_key":
            raise
        raise Problem(EMAIL_TAKEN, f"{email} belongs to another yard.") from None


def _profile(row: Row) -> dict[str, Any]:
    return {
        "yard_id": str(row["yard_id"]),
        "email": row["email"],
        "display_name": row["display_name"],
        "country": row["country"],
    }


def _answer(status: int, row: Row, headers: Mapping[str, str] | None = None) -> Answer:
    yard_id = str(row["yard_id"])
    yard = {
        **_profile(row),
        "status": row["status"],
        "version": row["version"],
        "registered_at": row["registered_at"],
        "updated_at": row["updated_at"],
    }
    token = str(Token.of_entity("yards", yard_id, row["version"]))
    standing = {hdrs.CONTENT_TYPE: "application/json", hdrs.ETAG: f'"{row["version"]}"', TOKEN: token}
    return Answer(status, document(yard, Yard), {**standing, **(headers or {})})


def _yard_id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["yard_id"])
    except ValueError:
        raise Problem(NOT_FOUND, "There is no such yard: the id is not a UUID.") from None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


_YARD_HEADERS = {
    "ETag": "The version, quoted; for If-Match",
    TOKEN: "Send it with a query that has to see this write",
    idempotency.REPLAYED: "true when this is the stored answer of an earlier request",
}
_ID = path_parameter("yard_id", {"type": "string", "format": "uuid"})


def _if_match(required: bool) -> dict[str, Any]:
    return header(hdrs.IF_MATCH, "The ETag of the yard as you know it, or *", {"type": "string"}, required=required)


ROUTES = (
    Route(
        "POST", "/yards", register_yard, "yards", "Register a yard",
        parameters=(KEY_PARAMETER,), body=json_body(RegisterYard),
        responses=answer(201, "Registered", Yard, headers={**_YARD_HEADERS, "Location": "Path of the yard"}),
        problems=(400, 409, 413, 415, 422, 503),
    ),
    Route(
        "PATCH", "/yards/{yard_id}/profile", change_profile, "yards", "Change a yard's profile",
        parameters=(_ID, _if_match(required=True), KEY_PARAMETER),
        body=json_body(ChangeProfile, "application/merge-patch+json"),
        responses=answer(200, "The yard as it is now", Yard, headers=_YARD_HEADERS),
        problems=(400, 404, 409, 412, 413, 415, 422, 428, 503),
    ),
    Route(
        "POST", "/yards/{yard_id}/deactivate", deactivate_yard, "yards", "Deactivate a yard",
        parameters=(_ID, _if_match(required=False), KEY_PARAMETER), body=json_body(DeactivateYard, required=False),
        responses=answer(200, "The yard as it is now", Yard, headers=_YARD_HEADERS),
        problems=(400, 404, 409, 412, 413, 415, 422, 503),
    ),
)  # fmt: skip
