"""What every request passes, outermost first: ids, trace and metrics; problems; CORS; compression."""

import re
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from atlas_contracts.headers import new_id
from atlas_errors.policy import Fate, fate_of
from atlas_http.problems import BROKEN_BODY, INTERNAL, Kind, Problem, of_http_error, unavailable
from atlas_http.routes import JSON, Route
from atlas_readmodel.reader import NotBuilt
from atlas_runtime.observing.logs import correlated
from atlas_runtime.observing.semantics import http_server
from atlas_runtime.observing.traces import carrying, exemplar, exporting, parse, span, unrecorded
from atlas_runtime.serving.http_guard import PROBE_PATHS, Guard
from atlas_runtime.serving.http_metrics import GONE, OTHER, answered, method_of, route_of
from opentelemetry.trace import Span, SpanKind, StatusCode

from atlas_gateway.opened import GATEWAY

REQUEST_ID = "X-Request-ID"
CORRELATION_ID = "X-Correlation-ID"
_REQUEST_ID = web.RequestKey("request_id", str)
_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]+")
_COMPRESS_FROM_BYTES = 1024
_EXPOSED = "Atlas-Token, ETag, Location, Retry-After, X-Request-ID, X-Correlation-ID, Idempotent-Replayed"
_ALLOWED_METHODS = "GET, HEAD, POST, PATCH, OPTIONS"
_PREFLIGHT_MAX_AGE_S = 600

log = structlog.get_logger(__name__)


@web.middleware
async def context(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its ids and its span, count and time it by route template, and keep track of it for the drain.

    A well-formed X-Request-ID or X-Correlation-ID of the caller is kept; else they are made, the latter the same as
    the former. Both are on the answer and, as correlation_id, on every log line.
    """
    request_id = _well_formed(request.headers.get(REQUEST_ID)) or new_id()
    correlation = _well_formed(request.headers.get(CORRELATION_ID)) or request_id
    request[_REQUEST_ID] = request_id
    route = route_of(request)
    resources = request.app[GATEWAY]
    started = time.perf_counter()
    leading: dict[str, str] | None = None
    status = GONE
    resources.requests.enter()
    try:
        with correlated(correlation), carrying(request.headers.get("baggage")), _span(request, route) as current:
            leading = exemplar()
            response = await handler(request)
            status = response.status
            _told(current, status)
            if current is not None:
                took_ms = round((time.perf_counter() - started) * 1000, 1)
                log.debug("request", method=method_of(request), route=route, status=status, took_ms=took_ms)
            response.headers[REQUEST_ID] = request_id
            response.headers[hdrs.SERVER] = "atlas-gateway"
            response.headers[CORRELATION_ID] = correlation
            if resources.requests.draining:
                response.force_close()
            return response
    finally:
        resources.requests.leave()
        answered(request, status, time.perf_counter() - started, leading)


def _span(request: web.Request, route: str) -> AbstractContextManager[Span | None]:
    """The request's span, in the caller's trace where it says one; none for probes and scrapes."""
    if route in PROBE_PATHS:
        return unrecorded()
    headers = request.headers
    method = method_of(request)
    attributes = http_server(method, route, request.host, request.scheme) if exporting() else None
    parent = parse(headers.get("traceparent"), headers.get("tracestate"))
    name = f"{'HTTP' if method == OTHER else method} {route}"
    return span(name, kind=SpanKind.SERVER, parent=parent, attributes=attributes)


def _told(current: Span | None, status: int) -> None:
    if current is None or not current.is_recording():
        return
    current.set_attribute("http.response.status_code", status)
    if status >= 500:
        current.set_attribute("error.type", str(status))
        current.set_status(StatusCode.ERROR)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever is raised into a problem document; an unexpected error shows nothing of its inside."""
    try:
        return await handler(request)
    except Problem as problem:
        found = problem
    except web.HTTPException as error:
        if error.status < 400:
            raise
        found = of_http_error(error)
    except web.RequestPayloadError as error:
        found = Problem(BROKEN_BODY, f"The body can't be read: {error}.")
    except NotBuilt as error:
        found = unavailable(f"{error}.")
    except Exception as error:
        if fate_of(error) is Fate.TRANSIENT:
            log.warning("dependency unavailable", error=f"{type(error).__name__}: {error}", route=route_of(request))
            found = unavailable("A server that this request needs does not answer; try again.")
        else:
            log.exception("request failed", method=method_of(request), route=route_of(request))
            found = Problem(INTERNAL, "The gateway failed; its log has the error under this request_id.")
    return found.response(instance=request.path, request_id=request[_REQUEST_ID])


def cors(origins: tuple[str, ...]) -> Middleware:
    """Let pages of these origins call; a preflight is answered here. Credentials are never allowed."""

    allowed = origin_pattern(origins)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or allowed.fullmatch(origin) is None:
            return await handler(request)
        if request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
            response: web.StreamResponse = web.Response(status=204, headers=_preflight_headers(request))
        else:
            response = await handler(request)
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        return response

    return middleware


def guarded(guard: Guard, routes: Iterable[Route]) -> Middleware:
    """Refuse what a page of another site could send; the handlers judge the media types that no page can send."""
    types = {(route.method, route.path): tuple(route.body["content"]) for route in routes if route.body is not None}

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        accepted = types.get((request.method, route_of(request)), (JSON,))
        refusal = guard.refusal(request, accepted, judged=True)
        if refusal is not None:
            kind = Kind(refusal.slug, refusal.status, refusal.title)
            raise Problem(kind, refusal.detail, headers=refusal.headers, **refusal.members)
        return await handler(request)

    return middleware


def origin_pattern(origins: Iterable[str]) -> re.Pattern[str]:
    """What matches these origins and nothing else: exact ones, `http://host:*` for any port, `*` for all."""
    return re.compile("|".join(_origin_pattern(origin) for origin in origins) or r"(?!)")


@web.middleware
async def compression(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Compress what is worth it, when the caller accepts gzip; a large body in a thread."""
    response = await handler(request)
    if isinstance(response, web.Response) and response.body is not None:
        length = response.content_length or 0
        if length >= _COMPRESS_FROM_BYTES and "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
            response.headers.add(hdrs.VARY, hdrs.ACCEPT_ENCODING)
            response.enable_compression(web.ContentCoding.gzip)
    return response


def _preflight_headers(request: web.Request) -> dict[str, str]:
    headers: dict[str, str] = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: _ALLOWED_METHODS,
        hdrs.ACCESS_CONTROL_MAX_AGE: str(_PREFLIGHT_MAX_AGE_S),
    }
    asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
    if _NAMES.fullmatch(asked):
        headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = asked
    return headers


def _origin_pattern(origin: str) -> str:
    if origin == "*":
        return r".+"
    return re.escape(origin.removesuffix(":*")) + r"(:\d+)?" if origin.endswith(":*") else re.escape(origin)


def _well_formed(value: str | None) -> str | None:
    return value if value is not None and _ID.fullmatch(value) else None
