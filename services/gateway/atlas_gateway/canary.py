"""The command that the health-aggregator sends to see how long commands take: an event in the outbox, and no state.

It passes all that a command of a context passes: its body is judged, and its event is in the outbox once the
transaction has committed.
"""

from typing import Annotated

import orjson
from aiohttp import hdrs, web
from atlas_contracts.canary import COMMANDED, PATH
from atlas_http import commands
from atlas_http.bodies import Body
from atlas_http.commands import Of
from atlas_http.idempotency import Answer, Connection
from atlas_http.incoming import read_command
from atlas_http.resources import RESOURCES
from atlas_http.routes import JSON, Route, answer, json_body
from pydantic import Field

_NUMBER_MAX = 2**53


class Canary(Body):
    """One canary: who sends it, and its number, which no other one of that sender has."""

    canary_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,160}$")]
    number: Annotated[int, Field(gt=0, lt=_NUMBER_MAX)]


async def send_canary(request: web.Request) -> web.Response:
    """Put a canary into the outbox. The row of its canary_id shows when it has come to the read model."""
    body = await read_command(request, Canary)

    async def effect(connection: Connection) -> Answer:
        of = Of(body.canary_id, body.number, body.number // 1000)
        await commands.emit(connection, request.app[RESOURCES], COMMANDED, body.model_dump(), of)
        return Answer(202, orjson.dumps(body.model_dump()), {hdrs.CONTENT_TYPE: JSON})

    return await commands.run(request, body, effect)


ROUTES = (
    Route(
        "POST", PATH, send_canary, "health", "Send a canary",
        body=json_body(Canary), responses=answer(202, "In the outbox", Canary), problems=(400, 413, 415, 422, 503),
    ),
)  # fmt: skip
