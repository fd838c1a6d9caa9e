"""The metrics every service shares; each service adds its own beside its loop. All are served at /metrics."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from atlas_errors.metrics import RETRIES
from atlas_kafka.metrics import RECORDS_IN as KAFKA_RECORDS_IN
from atlas_kafka.metrics import RECORDS_OUT as KAFKA_RECORDS_OUT
from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Gauge, Histogram

from atlas_runtime.observing.semantics import postgres
from atlas_runtime.observing.traces import exemplar, span_inside

__all__ = [
    "BREAKER_STATE",
    "DB_POOL_IN_USE",
    "DB_POOL_SIZE",
    "DB_QUERY_SECONDS",
    "HTTP_REQUESTS",
    "HTTP_REQUEST_SECONDS",
    "KAFKA_RECORDS_IN",
    "KAFKA_RECORDS_OUT",
    "RETRIES",
    "observe_pool",
    "timed_query",
]

_HTTP_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_QUERY_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

HTTP_REQUESTS = Counter("atlas_http_requests_total", "HTTP requests answered", ["method", "route", "status"])
HTTP_REQUEST_SECONDS = Histogram(
    "atlas_http_request_seconds", "Time to answer an HTTP request", ["method", "route"], buckets=_HTTP_BUCKETS_S
)
DB_POOL_SIZE = Gauge("atlas_db_pool_size", "Open connections of a PostgreSQL pool", ["pool"])
DB_POOL_IN_USE = Gauge("atlas_db_pool_in_use", "Connections of a PostgreSQL pool in use", ["pool"])
DB_QUERY_SECONDS = Histogram(
    "atlas_db_query_seconds", "Time of a database query or transaction", ["query"], buckets=_QUERY_BUCKETS_S
)
BREAKER_STATE = Gauge("atlas_breaker_state", "Circuit breaker: 0 closed, 1 half open, 2 open", ["name"])


class Pool(Protocol):
    """What is read of an `asyncpg.Pool`."""

    def get_size(self) -> int: ...
    def get_idle_size(self) -> int: ...


def observe_pool(pool: Pool, name: str) -> None:
    """Show the pool's connections, read at each scrape, as atlas_db_pool_size and atlas_db_pool_in_use{pool=name}."""
    DB_POOL_SIZE.labels(name).set_function(pool.get_size)
    DB_POOL_IN_USE.labels(name).set_function(lambda: pool.get_size() - pool.get_idle_size())


@contextmanager
def timed_query(name: str) -> Iterator[None]:
    """`with timed_query("orders.insert"): await …` counts the block in atlas_db_query_seconds{query=name}; it is a span
    of the current trace, where that is recorded.
    """
    begun = time.perf_counter()
    try:
        with span_inside(name, SpanKind.CLIENT, postgres(name)):
            yield
    finally:
        DB_QUERY_SECONDS.labels(name).observe(time.perf_counter() - begun, exemplar())
