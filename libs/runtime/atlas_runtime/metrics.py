"""The metrics every service shares; each service adds its own beside its loop. All are served at /metrics."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from atlas_errors.metrics import RETRIES
from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Gauge, Histogram

from atlas_runtime import pool_internals
from atlas_runtime.observing.semantics import postgres
from atlas_runtime.observing.traces import exemplar, span_inside

__all__ = [
    "BREAKER_OPENED",
    "BREAKER_STATE",
    "DB_POOL_IN_USE",
    "DB_POOL_MAX",
    "DB_POOL_SIZE",
    "DB_POOL_WAITING",
    "DB_QUERY_ERRORS",
    "DB_QUERY_SECONDS",
    "HTTP_REQUESTS",
    "HTTP_REQUEST_SECONDS",
    "RETRIES",
    "observe_pool",
    "observe_redis",
    "timed",
    "timed_query",
]

_HTTP_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_QUERY_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

HTTP_REQUESTS = Counter("atlas_http_requests_total", "HTTP requests answered", ["method", "route", "status"])
HTTP_REQUEST_SECONDS = Histogram(
    "atlas_http_request_seconds", "Time to answer an HTTP request", ["method", "route"], buckets=_HTTP_BUCKETS_S
)
DB_POOL_SIZE = Gauge("atlas_db_pool_size", "Open connections of a pool, PostgreSQL's or Redis'", ["pool"])
DB_POOL_MAX = Gauge("atlas_db_pool_max", "Connections that a pool may open", ["pool"])
DB_POOL_IN_USE = Gauge("atlas_db_pool_in_use", "Connections of a pool in use", ["pool"])
DB_POOL_WAITING = Gauge("atlas_db_pool_waiting", "Callers that wait for a connection of a pool", ["pool"])
DB_QUERY_SECONDS = Histogram(
    "atlas_db_query_seconds",
    "Time of a database query or transaction, by its name",
    ["query"],
    buckets=_QUERY_BUCKETS_S,
)
DB_QUERY_ERRORS = Counter(
    "atlas_db_query_errors", "Database queries or transactions that ended with an error", ["query"]
)
BREAKER_STATE = Gauge("atlas_breaker_state", "Circuit breaker: 0 closed, 1 half open, 2 open", ["name"])
BREAKER_OPENED = Counter("atlas_breaker_opened", "Times that a circuit breaker opened", ["name"])


class Pool(Protocol):
    """What is read of an `asyncpg.Pool`."""

    def get_size(self) -> int: ...
    def get_idle_size(self) -> int: ...
    def get_max_size(self) -> int: ...


def observe_pool(pool: Pool, name: str) -> None:
    """Show the pool's connections, read at each scrape, as atlas_db_pool_size, …_max, …_in_use and …_waiting."""
    DB_POOL_SIZE.labels(name).set_function(pool.get_size)
    DB_POOL_MAX.labels(name).set_function(pool.get_max_size)
    DB_POOL_IN_USE.labels(name).set_function(lambda: pool.get_size() - pool.get_idle_size())
    DB_POOL_WAITING.labels(name).set_function(lambda: pool_internals.waiting(pool))


def observe_redis(pool: Any, name: str) -> None:
    """The same of a ConnectionPool of redis-py, for which nobody waits: who finds none free is refused."""
    DB_POOL_MAX.labels(name).set_function(lambda: pool.max_connections)
    DB_POOL_IN_USE.labels(name).set_function(lambda: pool_internals.redis_in_use(pool))
    DB_POOL_SIZE.labels(name).set_function(lambda: pool_internals.redis_open(pool))


@contextmanager
def timed(measure: Histogram, begun: float | None = None) -> Iterator[None]:
    """`with timed(SECONDS.labels(…)): …` observes the block's time, or that since `begun` (perf_counter), and says with
    it in which trace that was, where the span that is current at the block's end is recorded.
    """
    begun = time.perf_counter() if begun is None else begun
    try:
        yield
    finally:
        measure.observe(time.perf_counter() - begun, exemplar())


@contextmanager
def timed_query(name: str) -> Iterator[None]:
    """`with timed_query("orders.insert"): await …` counts the block in atlas_db_query_seconds{query=name}, and in
    atlas_db_query_errors where an error leaves it; it is a span of the current trace, where that is recorded.

    `name` is the program's own: each is a time series for ever.
    """
    begun = time.perf_counter()
    try:
        with span_inside(name, SpanKind.CLIENT, postgres(name)):
            yield
    except Exception:
        DB_QUERY_ERRORS.labels(name).inc()
        raise
    finally:
        DB_QUERY_SECONDS.labels(name).observe(time.perf_counter() - begun, exemplar())
