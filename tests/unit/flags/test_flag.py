"""A flag's value, its source, and its place in the trace."""

from collections.abc import Iterator

import pytest
from atlas_flags.flag import Flag, Found
from atlas_flags.providers import provide
from openfeature import api
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

OPEN = Flag("t.open", True, "Whether it is open")
LIMIT = Flag("t.limit", 10, "How many")
SHARE = Flag("t.share", 0.5, "Which part")
COLOUR = Flag("t.colour", "blue", "Which one")


@pytest.fixture(autouse=True)
def _no_provider_stays() -> Iterator[None]:
    yield
    api.clear_providers()


def test_without_a_value_it_is_the_default() -> None:
    provide({}, None)
    flags: list[Flag[bool] | Flag[int] | Flag[float] | Flag[str]] = [OPEN, LIMIT, SHARE, COLOUR]
    assert [flag.value() for flag in flags] == [True, 10, 0.5, "blue"]
    assert [flag.kind for flag in flags] == ["bool", "int", "float", "str"]
    assert OPEN.found() == Found(True, "default")


def test_a_process_that_set_no_provider_has_defaults() -> None:
    assert (OPEN.value(), LIMIT.value()) == (True, 10)


def test_a_value_is_of_the_flags_own_type() -> None:
    provide({"t.open": False, "t.limit": 3, "t.share": 1, "t.colour": "red"}, None)
    assert (OPEN.value(), LIMIT.value(), SHARE.value(), COLOUR.value()) == (False, 3, 1.0, "red")
    assert type(SHARE.value()) is float
    assert OPEN.found() == Found(False, "settings")


@pytest.mark.parametrize("value", [True, "3", 3.5])
def test_a_value_of_another_type_is_the_default_and_says_why(value: bool | str | float) -> None:
    provide({"t.limit": value}, None)
    assert LIMIT.value() == 10
    assert LIMIT.found().source == f"default: settings has {value!r}, which is no int"


def test_what_was_evaluated_is_in_the_trace() -> None:
    provide({"t.limit": 3}, None)
    spans = InMemorySpanExporter()
    tracing = TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    with trace.use_span(tracing.get_tracer("t").start_span("request"), end_on_exit=True):
        LIMIT.value()
        COLOUR.value()
        OPEN.found()
    (span,) = spans.get_finished_spans()
    assert dict(span.attributes or {}) == {"feature_flag.t.limit": 3, "feature_flag.t.colour": "blue"}
    tracing.shutdown()
