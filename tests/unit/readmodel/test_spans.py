"""Reads are spans of the request that makes them, and never say which key is read."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from atlas_readmodel import spans
from atlas_readmodel.cache import Cache
from atlas_readmodel.reader import Reader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, Tracer, use_span
from purgatory.domain.model import OpenedState
from redis.exceptions import ConnectionError as RedisConnectionError

Recorded = Callable[[], Sequence[ReadableSpan]]


class Redis:
    """Answers what it is told to."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def mget(self, *_keys: str) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def register_script(self, _text: str) -> Any:
        return self.script

    async def script(self, **_call: Any) -> int:
        return 1


class Pool:
    """Has one row of everything."""

    async def fetch(self, _sql: str, *_values: Any) -> list[dict[str, Any]]:
        return [{"yard_id": "secret-key", "_offset": 7, "_epoch": 1}]


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Tracer, Recorded]]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(spans.trace, "get_tracer", provider.get_tracer)
    yield provider.get_tracer("test"), exporter.get_finished_spans
    provider.shutdown()


def reader(answer: Any, breaker: Any = None) -> Reader:
    return Reader(Pool(), Cache(Redis(answer), breaker))  # type: ignore[arg-type]


async def test_a_look_into_the_cache_and_the_row_put_there(traced: tuple[Tracer, Recorded]) -> None:
    tracer, recorded = traced
    with tracer.start_as_current_span("GET /yards/{yard_id}") as request:
        assert await reader([b"1", None]).cached_row("yards", "yard_id", "secret-key", ["yard_id"])
    look, put, _ = recorded()
    assert [look.name, put.name] == ["MGET cache.yards", "EVALSHA cache.yards"]
    assert look.attributes == {
        "db.system.name": "redis",
        "db.operation.name": "MGET",
        "db.collection.name": "cache.yards",
        "db.query.summary": "MGET cache.yards",
        "atlas.cache.outcome": "miss",
    }
    for span in (look, put):
        assert span.kind is SpanKind.CLIENT
        assert span.parent is not None
        assert span.parent.span_id == request.get_span_context().span_id
    assert "secret-key" not in "".join(span.to_json() for span in recorded())


@asynccontextmanager
async def open_breaker() -> Any:
    raise OpenedState("redis")
    yield


@pytest.mark.parametrize(
    ("answer", "breaker", "outcome", "status"),
    [
        ([b"1", b'V1:7:{"yard_id":"a"}'], None, "hit", StatusCode.UNSET),
        ([b"2", b'V1:7:{"yard_id":"a"}'], None, "miss", StatusCode.UNSET),
        (RedisConnectionError("away"), None, "error", StatusCode.ERROR),
        ([b"1", None], open_breaker, "skipped", StatusCode.UNSET),
    ],
)
async def test_how_a_look_ended(
    traced: tuple[Tracer, Recorded], answer: Any, breaker: Any, outcome: str, status: StatusCode
) -> None:
    tracer, recorded = traced
    with tracer.start_as_current_span("request"):
        await Cache(Redis(answer), breaker and breaker()).get("yards", "k")  # type: ignore[arg-type]
    look = recorded()[0]
    assert look.attributes is not None
    assert (look.attributes["atlas.cache.outcome"], look.status.status_code) == (outcome, status)


async def test_documents_that_can_t_be_read_are_an_error(traced: tuple[Tracer, Recorded]) -> None:
    tracer, recorded = traced

    class Away:
        async def rows(self, *_call: Any) -> None:
            raise RedisConnectionError("gone")

    with tracer.start_as_current_span("request"), pytest.raises(RedisConnectionError):
        await Reader(Pool(), None, Away()).documents("board")  # type: ignore[arg-type]
    (read, _) = recorded()
    assert (read.name, read.status.status_code) == ("EVALSHA documents.board", StatusCode.ERROR)


async def test_a_request_that_nobody_records_has_none(traced: tuple[Tracer, Recorded]) -> None:
    _, recorded = traced
    assert await reader([b"1", None]).cached_row("yards", "yard_id", "k", ["yard_id"])
    with use_span(spans.INVALID_SPAN):
        await reader([b"1", None]).cached_row("yards", "yard_id", "k", ["yard_id"])
    assert recorded() == ()
