"""From a parsed item to a Kafka record."""

import time
from typing import Any

import pytest
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_contracts.values.timestamps import rfc3339
from atlas_gateway.posting.envelopes import INVALID_RECORD, MAX_TIME_MS, Refused, cloud_event
from atlas_gateway.posting.records import Maker
from atlas_kafka.producing.producer import Outgoing
from hypothesis import given
from hypothesis import strategies as st

from tests.contexts import SCHEMAS

REGISTRY = Registry.load(SCHEMAS)
CODEC = Codec(REGISTRY)
TOPIC = REGISTRY.topics["yards.events"]
VALUE = {"yard_id": "u-1", "deactivated_at": "2020-01-01T00:00:00Z"}
RECORD = {"type": "yards.YardDeactivated", "value": VALUE}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def one(item: Any, **options: Any) -> Outgoing:
    (made,) = Maker(TOPIC, CODEC, [("traceparent", TRACE.encode())], **options).make([item])
    assert isinstance(made, Outgoing), made
    return made


def refused(item: Any, **options: Any) -> dict[str, Any]:
    (made,) = Maker(TOPIC, CODEC, (), **options).make([item])
    assert isinstance(made, Refused), made
    return made.error


def test_the_short_way_and_the_long_one_make_the_same_record() -> None:
    short, long = one(RECORD), one(RECORD | {"key": "u-1"})
    assert (
        (short.topic, short.key, short.value)
        == (long.topic, long.key, long.value)
        == ("yards.events", b"u-1", short.value)
    )
    names = [sorted(name for name, _ in record.headers) for record in (short, long)]
    assert names[0] == names[1]
    for name in ("ce_specversion", "ce_type", "ce_source", "ce_subject", "content-type", "traceparent"):
        assert dict(short.headers)[name] == dict(long.headers)[name], name


def test_the_headers_of_a_cloud_event_stay_its_own() -> None:
    item = {
        "specversion": "1.0",
        "id": "7",
        "source": "/s",
        "type": RECORD["type"],
        "data": VALUE,
        "time": "2020-01-01T00:00:00Z",
    }
    made = one(item, read=cloud_event)
    headers = dict(made.headers)
    assert (headers["ce_id"], headers["ce_source"], headers["ce_time"]) == (b"7", b"/s", b"2020-01-01T00:00:00.000Z")
    assert made.timestamp_ms is None, "its time in Kafka is that of writing"


def test_a_cloud_event_of_two_fields_is_not_taken_for_a_plain_record() -> None:
    assert "/specversion" in [error["path"] for error in refused(RECORD, read=cloud_event)["errors"]]


@pytest.mark.parametrize(
    ("item", "where"),
    [
        ({"value": VALUE}, "/type"),
        ({"type": None, "value": VALUE}, "/type"),
        ({"type": ["x"], "value": VALUE}, "/type"),
        ({"type": "hauls.HaulDeparted", "value": VALUE}, "/type"),
        ({"type": RECORD["type"], "value": None}, "/value"),
        (RECORD | {"key": "u-2"}, "/key"),
        (RECORD | {"value": VALUE | {"reason": 7}}, "/value/reason"),
    ],
)
def test_what_does_not_fit(item: Any, where: str) -> None:
    assert [error["path"] for error in refused(item)["errors"]] == [where]


def test_a_refused_item_stays_in_its_place() -> None:
    earlier = Refused(INVALID_RECORD, "broken")
    made = Maker(TOPIC, CODEC, ()).make([RECORD, earlier, RECORD])
    assert made[1] is earlier
    assert [type(record) for record in made] == [Outgoing, Refused, Outgoing]


def test_the_type_goes_without_saying_where_there_is_one() -> None:
    topic = REGISTRY.topics["health.heartbeats"]
    (made,) = Maker(topic, CODEC, ()).make([{"value": {}}])
    assert isinstance(made, Refused)
    assert "is not a health.Heartbeat" in str(made)


HOUR_MS = 3_600_000


@pytest.mark.parametrize("ahead_ms", [HOUR_MS + 60_000, 2 * HOUR_MS, 10 * 365 * 24 * HOUR_MS])
def test_a_time_far_ahead_is_refused(ahead_ms: int) -> None:
    ahead = time.time_ns() // 1_000_000 + ahead_ms
    for item in (RECORD | {"time": ahead}, RECORD | {"time": rfc3339(ahead)}):
        error = refused(item)
        assert [(fault["path"], fault["expected"]) for fault in error["errors"]] == [
            ("/time", "a time not more than 3600 s ahead of the gateway's clock")
        ]
    cloud = {"specversion": "1.0", "id": "7", "source": "/s", "type": RECORD["type"], "data": VALUE}
    assert refused(cloud | {"time": rfc3339(ahead)}, read=cloud_event)["errors"][0]["path"] == "/time"


@given(st.integers(0, MAX_TIME_MS))
def test_any_time_but_one_far_ahead_is_the_events_own_and_not_the_records(time_ms: int) -> None:
    (made,) = Maker(TOPIC, CODEC, ()).make([RECORD | {"time": time_ms}])
    now_ms = time.time_ns() // 1_000_000
    if time_ms > now_ms + HOUR_MS:
        assert isinstance(made, Refused)
    else:
        assert isinstance(made, Outgoing)
        assert dict(made.headers)["ce_time"] == rfc3339(time_ms).encode()
        assert made.timestamp_ms is None


def test_how_far_ahead_is_a_setting() -> None:
    now_ms = time.time_ns() // 1_000_000
    assert isinstance(Maker(TOPIC, CODEC, (), max_ahead_s=60).make([RECORD | {"time": now_ms + 61_000}])[0], Refused)
    assert isinstance(Maker(TOPIC, CODEC, (), max_ahead_s=60).make([RECORD | {"time": now_ms + 30_000}])[0], Outgoing)
