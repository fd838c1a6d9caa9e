"""HTTP requests as they are counted: by what the service knows of them, never by a text of the caller's own.

A request's path is counted as the template of its route, and a method that HTTP does not have as `_OTHER`, as
OpenTelemetry calls it. So no caller can make a series.
"""

import time
from collections.abc import Mapping
from functools import cache

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import Counter, Histogram

from atlas_runtime.metrics import HTTP_REQUEST_SECONDS, HTTP_REQUESTS
from atlas_runtime.observing.traces import exemplar

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "_OTHER"
NO_ROUTE = "(no route)"
NO_HTTP = "(no HTTP)"
# What stays when the caller goes away before the answer.
GONE = 499


def route_of(request: web.Request) -> str:
    """The template of the request's route."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else NO_ROUTE


def method_of(request: web.Request) -> str:
    """The request's method, if it is one."""
    return request.method if request.method in METHODS else OTHER


def answered(request: web.Request, status: int, seconds: float, leading: Mapping[str, str] | None = None) -> None:
    """Count an answer in atlas_http_requests_total, and its time. `leading`: the labels of its exemplar."""
    method, route = method_of(request), route_of(request)
    _count(method, route, status).inc()
    _time(method, route).observe(seconds, None if leading is None else dict(leading))


def not_http(status: int) -> None:
    """Count an answer to what was no HTTP, so that it has neither a method nor a route."""
    _count(OTHER, NO_HTTP, status).inc()


@web.middleware
async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Counts and times what comes out of all that is inside it."""
    begun, status = time.perf_counter(), GONE
    try:
        response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as error:
        status = error.status
        raise
    finally:
        answered(request, status, time.perf_counter() - begun, exemplar())


# With each request; to look children up by their labels costs more than to count.
@cache
def _count(method: str, route: str, status: int) -> Counter:
    return HTTP_REQUESTS.labels(method, route, str(status))


@cache
def _time(method: str, route: str) -> Histogram:
    return HTTP_REQUEST_SECONDS.labels(method, route)
