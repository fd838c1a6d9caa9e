"""Events to bytes and back, for every event of the mesh."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from atlas_avro.varints import long as zigzag
from atlas_contracts.checks import add
from atlas_contracts.codec import Codec
from atlas_contracts.errors import InvalidEvent, Undecodable, UnknownSchema
from atlas_contracts.events import Event
from atlas_contracts.registry import Registry
from fastavro.schema import parse_schema
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contexts import SCHEMAS

DEPARTED = "hauls.HaulDeparted"
HAUL: dict[str, Any] = {
    "haul_id": "UA1545-20130101T10-EWR",
    "carrier": "UA",
    "haul_number": 1545,
    "truck_number": "N14228",
    "origin": "EWR",
    "destination": "IAH",
    "scheduled_departure": 1_357_035_300_000,
    "distance_miles": 1400,
    "departure_delay_minutes": 2,
    "arrival_delay_minutes": None,
    "drive_time_minutes": 227,
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load(SCHEMAS)


@pytest.fixture(scope="module")
def codec(registry: Registry) -> Codec:
    return Codec(registry)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_every_event_comes_back_as_it_was(
    registry: Registry, codec: Codec, avro: SimpleNamespace, data: st.DataObject
) -> None:
    event_type = data.draw(st.sampled_from(registry.event_types))
    value = data.draw(avro.values(_expanded(registry, event_type)))

    framed = codec.encode(event_type, value)

    schema = registry.latest(event_type)
    assert framed[:5] == b"\x00" + schema.id.to_bytes(4, "big")
    assert codec.schema_id(framed) == schema.id
    event = codec.decode(framed)
    assert event == Event(event_type, schema.id, value)
    assert codec.from_json(event_type, json.loads(json.dumps(codec.to_json(event)))) == value
    assert codec.encode_json(event_type, codec.to_json(event)) == framed


@given(st.binary(max_size=60), st.integers(0, 12))
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_an_event_or_undecodable(codec: Codec, body: bytes, schema_id: int) -> None:
    framed = b"\x00" + schema_id.to_bytes(4, "big") + body
    try:
        event = codec.decode(framed)
    except Undecodable:
        return
    assert codec.to_json(event)


@pytest.mark.parametrize(
    ("framed", "reason"),
    [
        (None, "null value"),
        (b"", "not framed"),
        (b'{"a": 1}', "not framed"),
        (b"\x00\x00\x00\x03\xe7x", "schema id 999"),
        (b"\x00\x00\x00\x00\x04\x04U", "ends too early"),
    ],
)
def test_what_is_no_event_says_why(codec: Codec, framed: bytes | None, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        codec.decode(framed)


def test_bytes_after_the_event_are_refused(codec: Codec) -> None:
    with pytest.raises(Undecodable, match="2 bytes follow"):
        codec.decode(codec.encode(DEPARTED, HAUL) + b"xx")


def test_text_that_is_not_utf8_is_undecodable(codec: Codec) -> None:
    with pytest.raises(Undecodable, match="utf-8"):
        codec.decode(codec.encode(DEPARTED, HAUL).replace(b"N14228", b"\xff14228"))


def test_every_fault_is_named_with_its_path(codec: Codec) -> None:
    wrong = {
        **HAUL,
        "carrier": 12,
        "haul_number": True,
        "distance_miles": 2**31,
        "truck_number": 5,
        "scheduled_departure": "yesterday",
        "wings": 2,
    }
    del wrong["origin"]
    with pytest.raises(InvalidEvent) as raised:
        codec.from_json(DEPARTED, wrong)
    assert {error.path: (error.found, error.expected) for error in raised.value.errors} == {
        "/carrier": ("12 (integer)", "string"),
        "/haul_number": ("true (boolean)", "int (32-bit whole number)"),
        "/distance_miles": ("2147483648 (integer)", "int (32-bit whole number)"),
        "/truck_number": ("5 (integer)", "string or null"),
        "/scheduled_departure": (
            '"yesterday" (string): not RFC 3339 with an offset',
            "timestamp of the years 1 to 9999"
            " (RFC 3339 with an offset, at most 3 digits behind the point, or epoch milliseconds)",
        ),
        "/origin": ("nothing", "string"),
        "/wings": ("2 (integer)", f"no such field in {DEPARTED}"),
    }
    for refuse in (codec.encode, codec.encode_json):
        with pytest.raises(InvalidEvent) as again:
            refuse(DEPARTED, wrong)
        assert {error.path for error in again.value.errors} == {error.path for error in raised.value.errors}


def test_a_missing_field_takes_its_default(codec: Codec) -> None:
    short = {name: value for name, value in HAUL.items() if name != "truck_number"}
    assert codec.from_json(DEPARTED, short) == {**HAUL, "truck_number": None}
    for encode in (codec.encode, codec.encode_json):
        assert codec.decode(encode(DEPARTED, short)).value == {**HAUL, "truck_number": None}


def test_a_timestamp_is_a_number_in_python_and_text_in_json(codec: Codec) -> None:
    event = codec.decode(codec.encode(DEPARTED, HAUL))
    assert event.value["scheduled_departure"] == 1_357_035_300_000
    assert codec.to_json(event)["scheduled_departure"] == "2013-01-01T10:15:00.000Z"
    same = {**HAUL, "scheduled_departure": "2013-01-01T05:15:00-05:00"}
    assert codec.encode_json(DEPARTED, same) == codec.encode(DEPARTED, HAUL)
    with pytest.raises(InvalidEvent, match=r"/scheduled_departure.*epoch milliseconds"):
        codec.encode(DEPARTED, same)


@pytest.mark.parametrize("epoch_ms", [253_402_300_800_000, -62_135_596_800_001, 2**63 - 1, -(2**63)])
def test_a_time_that_has_no_date_is_refused_and_read_where_somebody_else_wrote_it(codec: Codec, epoch_ms: int) -> None:
    odd = {**HAUL, "scheduled_departure": epoch_ms}
    for encode in (codec.encode, codec.encode_json):
        with pytest.raises(InvalidEvent, match=r"/scheduled_departure.*years 1 to 9999"):
            encode(DEPARTED, odd)
    known = codec.encode(DEPARTED, HAUL)
    foreign = known.replace(zigzag(HAUL["scheduled_departure"]), zigzag(epoch_ms))
    event = codec.decode(foreign)
    assert codec.to_json(event)["scheduled_departure"] == epoch_ms


def test_an_unknown_event_type_is_named(codec: Codec) -> None:
    for call in (codec.encode, codec.encode_json, codec.from_json):
        with pytest.raises(UnknownSchema, match=r"hauls\.Nothing"):
            call("hauls.Nothing", {})


def test_an_older_event_is_read_in_the_newest_shape(folder: Path, new_version: Callable[..., Any]) -> None:
    order = {"order_id": "o1", "lines": [1, 2], "placed_at": 5, "note": "n"}
    old = Codec(Registry.load(folder)).encode("shop.OrderPlaced", order)
    new_version(lines={"type": {"type": "array", "items": "long"}}, total={"type": "int", "default": 7}, note=None)
    add(folder, "shop/order_placed.v2.avsc")

    codec = Codec(Registry.load(folder))

    assert codec.decode(old) == Event(
        "shop.OrderPlaced", 1, {"order_id": "o1", "lines": [1, 2], "placed_at": 5, "total": 7}
    )
    fresh = codec.encode("shop.OrderPlaced", {"order_id": "o1", "lines": [2**40], "placed_at": 5, "total": 8})
    assert codec.decode(fresh).schema_id == 2


def _expanded(registry: Registry, event_type: str) -> Any:
    """The definition with named types written out where they are referred to."""
    return parse_schema(json.loads(registry.latest(event_type).text), expand=True)


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        ("string", True),
        (["null", {"type": "array", "items": "long"}], True),
        ({"type": "int", "logicalType": "date"}, True),
        ({"type": "string", "logicalType": "uuid"}, True),
        ({"type": "enum", "name": "Colour", "symbols": ["RED"]}, True),
        ({"type": "map", "values": "bytes"}, False),
        (["null", "double"], False),
        ({"type": "array", "items": {"type": "bytes", "logicalType": "decimal", "precision": 4}}, False),
        ({"type": "fixed", "name": "Span", "size": 12, "logicalType": "duration"}, False),
    ],
)
def test_what_json_has_too_is_known_by_the_type(
    folder: Path, release: Callable[[Path, str, dict[str, Any]], int], kind: Any, plain: bool
) -> None:
    fields = [{"name": "order_id", "type": "string"}, {"name": "what", "type": kind, "default": None}]
    if not isinstance(kind, list):
        del fields[1]["default"]
    topics = (folder / "topics.yaml").read_text()
    (folder / "topics.yaml").write_text(topics.replace("[shop.OrderPlaced]", "[shop.OrderPlaced, shop.OrderTold]"))
    release(
        folder,
        "shop/order_told.v1.avsc",
        {"type": "record", "namespace": "shop", "name": "OrderTold", "fields": fields},
    )
    codec = Codec(Registry.load(folder))
    assert codec.is_plain("shop.OrderTold") is plain
    assert codec.is_plain("shop.NeverDeclared")
