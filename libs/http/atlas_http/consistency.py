"""Reading your own write: a query that carries an Atlas-Token waits until the read model has passed it."""

import re

from aiohttp import web
from atlas_readmodel.token import InvalidToken, Token

from atlas_http.problems import NOT_YET_VISIBLE, Problem, field_error, invalid
from atlas_http.resources import RESOURCES
from atlas_http.routes import header, query

HEADER = "Atlas-Token"
PARAMETER = "token"
WAIT_MAX_S = 30.0
_LOOK_S = 0.25  # the least: one look at the read model has to fit in
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*(\d{1,6})\s*(?:$|[,;])", re.IGNORECASE)

PARAMETERS = (
    header(HEADER, "From a write that this query has to see", {"type": "string"}),
    query(PARAMETER, "The same as the header Atlas-Token", {"type": "string"}),
    header("Prefer", "wait=<seconds>: how long to wait for the token, at most 30", {"type": "string"}),
)


async def wait(request: web.Request, projection: str) -> bool:
    """Wait until `projection` shows what the request's token stands for; whether there was a token.

    Problems: 422 for a malformed token; 503 not-yet-visible, with Retry-After, when the time (`Prefer: wait=<s>`, else
    the setting) is over first.
    """
    text = request.headers.get(HEADER) or request.query.get(PARAMETER)
    if not text:
        return False
    resources = request.app[RESOURCES]
    try:
        token = Token.parse(text)
        limit_s = _limit_s(request, resources.settings.gateway_read_your_write_s)
        visible = await resources.reader.wait_for(token, limit_s, projection)
    except ValueError as error:
        expected = "a token from the answer to a write"
        reason = str(error) if isinstance(error, InvalidToken) else "a token of another read model"
        raise invalid([field_error(f"/{PARAMETER}", reason, expected)], "The Atlas-Token can't be used.") from None
    if not visible:
        detail = f"The read model {projection} has not passed {text} within {limit_s:g} s; ask again."
        raise Problem(NOT_YET_VISIBLE, detail, headers={"Retry-After": "1"}, token=text)
    return True


def _limit_s(request: web.Request, default_s: float) -> float:
    match = _WAIT.search(",".join(request.headers.getall("Prefer", [])))
    return max(_LOOK_S, min(float(match[1]), WAIT_MAX_S) if match else default_s)
