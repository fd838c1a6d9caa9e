"""Names of attributes, by what tools of today know and by what they will know."""

from collections.abc import Iterator

import pytest
from atlas_runtime.observing import semantics
from atlas_runtime.observing.semantics import http_server, messaging, postgres


@pytest.fixture
def opt_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    semantics._vocabularies.cache_clear()
    yield monkeypatch
    semantics._vocabularies.cache_clear()


FACTS = {"topic": "t", "partition": "3", "group": "g", "offset": 7, "records": None}
SHARED = {"messaging.system": "kafka", "messaging.destination.name": "t", "messaging.destination.partition.id": "3"}
KNOWN = {"messaging.operation": "process", "messaging.kafka.consumer.group": "g", "messaging.kafka.message.offset": 7}
NEWER = {
    "messaging.operation.type": "process",
    "messaging.operation.name": "process",
    "messaging.consumer.group.name": "g",
    "messaging.kafka.offset": 7,
}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, SHARED | KNOWN),
        ("http", SHARED | KNOWN),
        ("database, messaging", SHARED | NEWER),
        ("messaging/dup", SHARED | KNOWN | NEWER),
    ],
)
def test_names_of_messaging(opt_in: pytest.MonkeyPatch, asked: str | None, expected: dict[str, object]) -> None:
    opt_in.delenv("OTEL_SEMCONV_STABILITY_OPT_IN", raising=False)
    if asked is not None:
        opt_in.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", asked)
    assert messaging("process", **FACTS) == expected


def test_to_send_is_called_publish_by_the_older_ones(opt_in: pytest.MonkeyPatch) -> None:
    opt_in.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "messaging/dup")
    found = messaging("send", records=2)
    assert found["messaging.operation"] == "publish"
    assert found["messaging.operation.type"] == "send"
    assert found["messaging.batch.message_count"] == 2


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("atlas.example", "atlas.example", None),
        ("[::1]:80", "[::1]", 80),
        ("[::1]", "[::1]", None),
        ("x:" + "9" * 400, "x:" + "9" * 400, None),
        (":1", ":1", None),
        ("", "", None),
    ],
)
def test_a_host_is_an_address_and_perhaps_a_port(host: str, address: str, port: int | None) -> None:
    found = http_server("GET", "/yards/{yard_id}", host, "http")
    assert (found["server.address"], found.get("server.port")) == (address, port)
    assert found["http.request.method"] == "GET"
    assert found["http.route"] == "/yards/{yard_id}"


def test_a_statement_is_named_not_quoted() -> None:
    assert postgres("yards.register") == {"db.system.name": "postgresql", "db.query.summary": "yards.register"}
