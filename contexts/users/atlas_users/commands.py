"""Commands on users: the state row, the idempotency key and the event, in one transaction.

The event is final when it is written to the outbox: Avro bytes, key, headers. Readers see it through the projection
`users`; the answer's Atlas-Token lets a query wait for that.
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

from atlas_users.bodies import ChangeProfile, DeactivateUser, RegisterUser, User
from atlas_users.flags import REGISTRATION

TOKEN = "Atlas-Token"
REGISTRATION_CLOSED = Kind("registration-closed", 409, "Registration is closed")
EMAIL_TAKEN = Kind("email-taken", 409, "The address belongs to another user")
DEACTIVATED = Kind("user-deactivated", 409, "The user is deactivated")

_COLUMNS = "user_id, email, display_name, country, status, version, registered_at, updated_at"
_INSERT = f"""
INSERT INTO app.users (user_id, email, display_name, country, registered_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $5) RETURNING {_COLUMNS}
"""
_LOCK = f"SELECT {_COLUMNS} FROM app.users WHERE user_id = $1 FOR UPDATE"
_CHANGE = f"""
UPDATE app.users SET email = $2, display_name = $3, country = $4, updated_at = $5, version = version + 1
WHERE user_id = $1 RETURNING {_COLUMNS}
"""
_DEACTIVATE = f"""
UPDATE app.users SET status = 'deactivated', updated_at = $2, version = version + 1
WHERE user_id = $1 RETURNING {_COLUMNS}
"""

Row = Mapping[str, Any]


async def register_user(request: web.Request) -> web.Response:
    """Make a user. 201 with Location, ETag and Atlas-Token; 409 when the address is taken or nobody may register."""
    resources = request.app[RESOURCES]
    body = await read_command(request, RegisterUser)

    async def effect(connection: Connection) -> Answer:
        if not REGISTRATION.value():  # in here, so that a key that was answered before gets its answer again
            raise Problem(REGISTRATION_CLOSED, "Nobody can register now; try again later.")
        with timed_query("users.register"), _unique_email(body.email):
            row = await _one(
                connection, _INSERT, UUID(new_id()), body.email, body.display_name, body.country, _now_ms()
            )
        assert row is not None
        await _emit(
            connection, resources, "users.UserRegistered", row, _profile(row) | {"registered_at": row["registered_at"]}
        )
        return _answer(201, row, {hdrs.LOCATION: f"/users/{row['user_id']}"})

    return await commands.run(request, body, effect)


async def change_profile(request: web.Request) -> web.Response:
    """Change what is given of a profile. If-Match has to name the version; nothing new is no event."""
    resources = request.app[RESOURCES]
    user_id = _user_id(request)
    if hdrs.IF_MATCH not in request.headers:
        raise Problem(VERSION_REQUIRED, "Send the user's ETag in If-Match, so that no one's change is lost.")
    body = await read_command(request, ChangeProfile)

    async def effect(connection: Connection) -> Answer:
        row = await _locked(connection, user_id, request.headers[hdrs.IF_MATCH])
        new = {name: getattr(body, name) for name in body.model_fields_set}
        if all(row[name] == value for name, value in new.items()):
            return _answer(200, row)
        profile = {**row, **new}
        with timed_query("users.change"), _unique_email(profile["email"]):
            row = await _one(
                connection, _CHANGE, user_id, profile["email"], profile["display_name"], profile["country"], _now_ms()
            )
        assert row is not None
        await _emit(
            connection, resources, "users.UserProfileChanged", row, _profile(row) | {"changed_at": row["updated_at"]}
        )
        return _answer(200, row)

    return await commands.run(request, body, effect)


async def deactivate_user(request: web.Request) -> web.Response:
    """Close an account; its address stays taken. If-Match is heeded when sent."""
    resources = request.app[RESOURCES]
    user_id = _user_id(request)
    body = await read_command(request, DeactivateUser)

    async def effect(connection: Connection) -> Answer:
        await _locked(connection, user_id, request.headers.get(hdrs.IF_MATCH))
        with timed_query("users.deactivate"):
            row = await _one(connection, _DEACTIVATE, user_id, _now_ms())
        value = {"user_id": str(row["user_id"]), "reason": body.reason, "deactivated_at": row["updated_at"]}
        await _emit(connection, resources, "users.UserDeactivated", row, value)
        return _answer(200, row)

    return await commands.run(request, body, effect)


async def _locked(connection: Connection, user_id: UUID, if_match: str | None) -> Row:
    """The user's row, locked until the commit; a problem when absent, deactivated or at another version."""
    with timed_query("users.lock"):
        found = await connection.fetchrow(_LOCK, user_id)
    if found is None:
        raise Problem(NOT_FOUND, f"There is no user {user_id}.")
    row = dict(found)
    if row["status"] == "deactivated":
        raise Problem(DEACTIVATED, f"The user {user_id} is deactivated and can't be changed.")
    require_version(if_match, row["version"], "user")
    return row


async def _one(connection: Connection, sql: str, *values: object) -> Row:
    """The one row that the statement returns."""
    (row,) = await connection.fetch(sql, *values)
    return dict(row)


async def _emit(connection: Connection, resources: Resources, event_type: str, row: Row, value: dict[str, Any]) -> None:
    """The row's lock is held, so outbox ids rise with the user's versions."""
    subject, version, time_ms = str(row["user_id"]), row["version"], row["updated_at"]
    await commands.emit(connection, resources, event_type, value, Of(subject, version, time_ms))


@contextmanager
def _unique_email(email: str) -> Iterator[None]:
    """Turn the violation of the unique address into a problem."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "users_email_key":
            raise
        raise Problem(EMAIL_TAKEN, f"{email} belongs to another user.") from None


def _profile(row: Row) -> dict[str, Any]:
    return {
        "user_id": str(row["user_id"]),
        "email": row["email"],
        "display_name": row["display_name"],
        "country": row["country"],
    }


def _answer(status: int, row: Row, headers: Mapping[str, str] | None = None) -> Answer:
    user_id = str(row["user_id"])
    user = {
        **_profile(row),
        "status": row["status"],
        "version": row["version"],
        "registered_at": row["registered_at"],
        "updated_at": row["updated_at"],
    }
    token = str(Token.of_entity("users", user_id, row["version"]))
    standing = {hdrs.CONTENT_TYPE: "application/json", hdrs.ETAG: f'"{row["version"]}"', TOKEN: token}
    return Answer(status, document(user, User), {**standing, **(headers or {})})


def _user_id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["user_id"])
    except ValueError:
        raise Problem(NOT_FOUND, "There is no such user: the id is not a UUID.") from None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


_USER_HEADERS = {
    "ETag": "The version, quoted; for If-Match",
    TOKEN: "Send it with a query that has to see this write",
    idempotency.REPLAYED: "true when this is the stored answer of an earlier request",
}
_ID = path_parameter("user_id", {"type": "string", "format": "uuid"})


def _if_match(required: bool) -> dict[str, Any]:
    return header(hdrs.IF_MATCH, "The ETag of the user as you know it, or *", {"type": "string"}, required=required)


ROUTES = (
    Route(
        "POST", "/users", register_user, "users", "Register a user",
        parameters=(KEY_PARAMETER,), body=json_body(RegisterUser),
        responses=answer(201, "Registered", User, headers={**_USER_HEADERS, "Location": "Path of the user"}),
        problems=(400, 409, 413, 415, 422, 503),
    ),
    Route(
        "PATCH", "/users/{user_id}/profile", change_profile, "users", "Change a user's profile",
        parameters=(_ID, _if_match(required=True), KEY_PARAMETER),
        body=json_body(ChangeProfile, "application/merge-patch+json"),
        responses=answer(200, "The user as it is now", User, headers=_USER_HEADERS),
        problems=(400, 404, 409, 412, 413, 415, 422, 428, 503),
    ),
    Route(
        "POST", "/users/{user_id}/deactivate", deactivate_user, "users", "Deactivate a user",
        parameters=(_ID, _if_match(required=False), KEY_PARAMETER), body=json_body(DeactivateUser, required=False),
        responses=answer(200, "The user as it is now", User, headers=_USER_HEADERS),
        problems=(400, 404, 409, 412, 413, 415, 422, 503),
    ),
)  # fmt: skip
