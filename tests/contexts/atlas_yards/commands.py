"""Commands on yards, as entities: each sets columns of `app.yards`, and its event takes of the row what it has."""

import time
from typing import Any

from aiohttp import hdrs, web
from atlas_http import commands
from atlas_http.bodies import Body
from atlas_http.entities import HEADERS, IF_MATCH, Changed, Entity
from atlas_http.idempotency import KEY_PARAMETER, Answer, Connection
from atlas_http.incoming import read_command
from atlas_http.problems import VERSION_REQUIRED, Kind, Problem
from atlas_http.routes import Route, answer, json_body
from atlas_yards.bodies import ChangeProfile, DeactivateYard, RegisterYard
from atlas_yards.flags import REGISTRATION

YARDS = Entity("yards", "app.yards", key="yard_id", what="yard")
REGISTRATION_CLOSED = Kind("registration-closed", 409, "Registration is closed")
DEACTIVATED = Kind("yard-deactivated", 409, "The yard is deactivated")


async def register_yard(request: web.Request) -> web.Response:
    """Make a yard. 409 when the address is taken or nobody may register."""
    body = await read_command(request, RegisterYard)

    async def effect(connection: Connection) -> Answer:
        if not REGISTRATION.value():  # in here, so that a key that was answered before gets its answer again
            raise Problem(REGISTRATION_CLOSED, "Nobody can register now; try again later.")
        values = body.model_dump() | _now("registered_at")
        return await YARDS.create(connection, request, "yards.YardRegistered", values)

    return await commands.run(request, body, effect)


async def change_profile(request: web.Request) -> web.Response:
    """Change what is given of a profile. If-Match has to name the version."""
    if hdrs.IF_MATCH not in request.headers:
        raise Problem(VERSION_REQUIRED, "Send the yard's ETag in If-Match, so that no one's change is lost.")
    body = await read_command(request, ChangeProfile)
    return await _change(request, body, "yards.YardProfileChanged", "changed_at")


async def deactivate_yard(request: web.Request) -> web.Response:
    """Close a yard for good; its address stays taken. If-Match is heeded when sent."""
    body = await read_command(request, DeactivateYard)
    return await _change(request, body, "yards.YardDeactivated", "deactivated_at", status="deactivated")


async def _change(request: web.Request, body: Body, event_type: str, moment: str, **values: Any) -> web.Response:
    """Set what the body has and `values`; a problem when the yard is deactivated."""

    async def effect(connection: Connection) -> Answer:
        row = await YARDS.locked(connection, request)
        if row["status"] == "deactivated":
            raise Problem(DEACTIVATED, f"The yard {row['yard_id']} can't be changed.")
        new = body.model_dump(exclude_unset=True) | values | _now(moment)
        return await YARDS.change(connection, request, event_type, new)

    return await commands.run(request, body, effect)


def _now(*names: str) -> dict[str, int]:
    return dict.fromkeys((*names, "updated_at"), time.time_ns() // 1_000_000)


_WHICH = YARDS.path_parameter()
_PROBLEMS = (400, 404, 409, 412, 413, 415, 422, 503)
ROUTES = (
    Route(
        "POST", "/yards", register_yard, "yards", "Register a yard", (KEY_PARAMETER,), json_body(RegisterYard),
        answer(201, "Registered", Changed, headers={**HEADERS, "Location": "Path of the yard"}),
        (400, 409, 413, 415, 422, 503),
    ),
    Route(
        "PATCH", "/yards/{yard_id}/profile", change_profile, "yards", "Change a yard's profile",
        (_WHICH, IF_MATCH | {"required": True}, KEY_PARAMETER),
        json_body(ChangeProfile, "application/merge-patch+json"),
        answer(200, "Changed", Changed, headers=HEADERS), (*_PROBLEMS, 428),
    ),
    Route(
        "POST", "/yards/{yard_id}/deactivate", deactivate_yard, "yards", "Deactivate a yard",
        (_WHICH, IF_MATCH, KEY_PARAMETER), json_body(DeactivateYard, required=False),
        answer(200, "Deactivated", Changed, headers=HEADERS), _PROBLEMS,
    ),
)  # fmt: skip
