"""From a parsed item to a Kafka record."""

from pathlib import Path
from typing import Any

import pytest
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_gateway.envelopes import INVALID_RECORD, Refused, cloud_event
from atlas_gateway.records import Maker
from atlas_kafka.producer import Outgoing

REGISTRY = Registry.load(Path(__file__).parents[3] / "schemas")
CODEC = Codec(REGISTRY)
TOPIC = REGISTRY.topics["users.events"]
VALUE = {"user_id": "u-1", "deactivated_at": "2020-01-01T00:00:00Z"}
RECORD = {"type": "users.UserDeactivated", "value": VALUE}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def one(item: Any, **options: Any) -> Outgoing:
    (made,) = Maker(TOPIC, CODEC, TRACE, **options).make([item])
    assert isinstance(made, Outgoing), made
    return made


def refused(item: Any, **options: Any) -> dict[str, Any]:
    (made,) = Maker(TOPIC, CODEC, None, **options).make([item])
    assert isinstance(made, Refused), made
    return made.error


def test_the_short_way_and_the_long_one_make_the_same_record() -> None:
    short, long = one(RECORD), one(RECORD | {"key": "u-1"})
    assert (
        (short.topic, short.key, short.value)
        == (long.topic, long.key, long.value)
        == ("users.events", b"u-1", short.value)
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
    assert made.timestamp_ms == 1577836800000


def test_a_cloud_event_of_two_fields_is_not_taken_for_a_plain_record() -> None:
    assert "/specversion" in [error["path"] for error in refused(RECORD, read=cloud_event)["errors"]]


@pytest.mark.parametrize(
    ("item", "where"),
    [
        ({"value": VALUE}, "/type"),
        ({"type": None, "value": VALUE}, "/type"),
        ({"type": ["x"], "value": VALUE}, "/type"),
        ({"type": "flights.FlightDeparted", "value": VALUE}, "/type"),
        ({"type": RECORD["type"], "value": None}, "/value"),
        (RECORD | {"key": "u-2"}, "/key"),
        (RECORD | {"value": VALUE | {"reason": 7}}, "/value/reason"),
    ],
)
def test_what_does_not_fit(item: Any, where: str) -> None:
    assert [error["path"] for error in refused(item)["errors"]] == [where]


def test_a_refused_item_stays_in_its_place() -> None:
    earlier = Refused(INVALID_RECORD, "broken")
    made = Maker(TOPIC, CODEC, None).make([RECORD, earlier, RECORD])
    assert made[1] is earlier
    assert [type(record) for record in made] == [Outgoing, Refused, Outgoing]


def test_the_type_goes_without_saying_where_there_is_one() -> None:
    topic = REGISTRY.topics["health.heartbeats"]
    (made,) = Maker(topic, CODEC, None).make([{"value": {}}])
    assert isinstance(made, Refused)
    assert "is not a health.Heartbeat" in str(made)
