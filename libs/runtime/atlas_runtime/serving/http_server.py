"""The HTTP server of every service: whatever comes in, what it refuses is a problem document (RFC 9457).

Bodies arrive as they were sent: nothing is inflated before a handler asks for it, within its limits.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

import orjson
import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from atlas_errors.policy import Fate, fate_of

from atlas_runtime.serving.http_metrics import method_of, not_http, route_of

CONTENT_TYPE = "application/problem+json"
# What the endpoints of services beside the gateway take: lists of ids.
BODY_MAX_BYTES = 1024 * 1024
# Nobody here reads these, and proxies and old clients put other encodings than UTF-8 into them.
_UNREAD = (hdrs.USER_AGENT, hdrs.REFERER, hdrs.COOKIE)
_BACKLOG = 128

log = structlog.get_logger(__name__)


class Connection(web.RequestHandler):
    """aiohttp's connection, but what is no HTTP is answered by a problem document and is not logged as an error."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The last answer of this connection. Raises ConnectionError when another one has begun."""
        if status >= 500:
            log.error("request failed", exc_info=exc)
        else:
            log.debug("not HTTP", error=type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        detail = "The request failed." if status >= 500 else f"The request is not HTTP: {_first_line(message)}."
        if status < 500:  # of the others a handler raised, they are counted
            not_http(status)
        response = document(status, detail)
        response.force_close()
        return response


@asynccontextmanager
async def listen(app: web.Application, host: str, port: int, *, lingering_s: float = 2.0) -> AsyncIterator[int]:
    """Serve `app` within the block; gives the port that is bound (`port` 0 takes a free one).

    A body that is refused before its end is read, and dropped, for `lingering_s`, so that the caller sees the answer.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    loop = asyncio.get_running_loop()

    def connect() -> Connection:
        assert runner.server is not None, "set up above"
        return Connection(
            runner.server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # AppRunner passes the same: no access log
            auto_decompress=False,
            lingering_time=lingering_s,
        )

    try:
        server = await loop.create_server(connect, host, port, backlog=_BACKLOG)
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()
    finally:
        await runner.cleanup()


@web.middleware
async def documents(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever is raised into a problem document; an unexpected error shows nothing of its inside."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400 or error.content_type == CONTENT_TYPE:
            raise
        allow: dict[str, str] = {hdrs.ALLOW: error.headers[hdrs.ALLOW]} if hdrs.ALLOW in error.headers else {}
        return document(error.status, error.text or error.reason, allow)
    except web.RequestPayloadError as error:
        return document(400, f"The body can't be read: {error}.")
    except Exception as error:
        if fate_of(error) is Fate.TRANSIENT:
            log.warning("dependency unavailable", error=f"{type(error).__name__}: {error}", route=route_of(request))
            return document(503, "A server that this request needs does not answer; try again.", {"Retry-After": "1"})
        log.exception("request failed", method=method_of(request), route=route_of(request))
        return document(500, "The request failed; the service's log says why.")


@web.middleware
async def readable(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what is not UTF-8 in a header or in the path, before anything looks at it. Raises 400."""
    for name, value in request.headers.items():
        if not (value.isascii() or is_unicode(value) or name in _UNREAD):
            raise web.HTTPBadRequest(text=f"The header {name} is not UTF-8.")
    if not is_unicode(request.raw_path):
        raise web.HTTPBadRequest(text="The path is not UTF-8.")
    return await handler(request)


@web.middleware
async def unencoded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a compressed body: endpoints that take a list of ids need none. Raises 415."""
    named = request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower()
    if named not in ("", "identity"):
        detail = f"The Content-Encoding is {named[:100]}; accepted here: identity."
        return document(415, detail, {hdrs.ACCEPT_ENCODING: "identity"})
    return await handler(request)


def document(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """A problem document of no type of its own."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": shown(detail)}
    return web.Response(status=status, body=orjson.dumps(body), content_type=CONTENT_TYPE, headers=headers)


def is_unicode(text: str) -> bool:
    """Whether the text can be written as UTF-8: bytes that were none are lone surrogates in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(text: str) -> str:
    """The text as an answer can hold it: a byte that was no UTF-8 becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _first_line(message: str | None) -> str:
    return (message or "it can't be parsed").strip().splitlines()[0].rstrip(".: ")[:200]
