"""Logical types through the codec: at the door, in bytes, in Python, in JSON, in older versions."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from atlas_avro.durations import Duration
from atlas_contracts.checks import add, check
from atlas_contracts.codec import Codec
from atlas_contracts.errors import InvalidEvent, Undecodable
from atlas_contracts.reading.run_reader import RUN_FROM
from atlas_contracts.registry import Registry
from atlas_contracts.values.exact_json import parse
from fastavro import schemaless_reader
from fastavro.schema import parse_schema

PRICE = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
WIDE = {"type": "fixed", "name": "Wide", "size": 17, "logicalType": "decimal", "precision": 38, "scale": 10}
UID = {"type": "string", "logicalType": "uuid"}
RAW_UID = {"type": "fixed", "name": "RawUid", "size": 16, "logicalType": "uuid"}
LENGTH = {"type": "fixed", "name": "Length", "size": 12, "logicalType": "duration"}
DAY = {"type": "int", "logicalType": "date"}
FIELDS: dict[str, Any] = {
    "price": PRICE,
    "wide": WIDE,
    "day": DAY,
    "clock": {"type": "int", "logicalType": "time-millis"},
    "at": {"type": "long", "logicalType": "timestamp-micros"},
    "uid": ["null", UID],
    "raw_uid": RAW_UID,
    "length": LENGTH,
    "prices": {"type": "array", "items": PRICE},
    "wides": {"type": "map", "values": "shop.Wide"},
    "maybe": ["null", "shop.RawUid"],
    "half": "double",
}
SHOWN: dict[str, Any] = {
    "order_id": "1",
    "lines": [],
    "placed_at": "1970-01-01T00:00:00.001Z",
    "note": None,
    "price": "12.34",
    "wide": "-0.0000000001",
    "day": "2024-02-29",
    "clock": "10:15:00.250",
    "at": "2024-01-01T00:00:00.123456Z",
    "uid": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "raw_uid": "00000000-0000-0000-0000-000000000001",
    "length": "P1M2DT3.004S",
    "prices": ["0.00", "-1.00"],
    "wides": {"a": "9999999999999999999999999999.9999999999"},
    "maybe": "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "half": 0.5,
}
VALUE: dict[str, Any] = {
    **SHOWN,
    "placed_at": 1,
    "price": Decimal("12.34"),
    "wide": Decimal("-1e-10"),
    "day": 19_782,
    "clock": 36_900_250,
    "at": 1_704_067_200_123_456,
    "length": Duration(1, 2, 3004),
    "prices": [Decimal("0.00"), Decimal("-1.00")],
    "wides": {"a": Decimal("9999999999999999999999999999.9999999999")},
}
ORDER = "shop.OrderPlaced"
DEFAULTS: dict[str, Any] = {
    "price": "\u0004\u00d2",
    "wide": "\u00ff" * 17,
    "day": 19_782,
    "uid": None,
    "raw_uid": "\u0000" * 15 + "\u0001",
    "length": "\u0001" + "\u0000" * 11,
    "prices": ["\u0001", "\u00ff"],
    "half": 1,
}


@pytest.fixture
def typed(folder: Path, new_version: Callable[..., Any]) -> Codec:
    """A codec of an event with a field of each logical type."""
    defaults = {"clock": 0, "at": 0, "wides": {}, "maybe": None, **DEFAULTS}
    new_version(2, **{name: {"type": kind, "default": defaults[name]} for name, kind in FIELDS.items()})
    assert add(folder, "shop/order_placed.v2.avsc") == 2
    assert check(folder) == []
    return Codec(Registry.load(folder))


def test_each_type_is_one_thing_at_every_place(typed: Codec, folder: Path) -> None:
    framed = typed.encode_json(ORDER, SHOWN)
    event = typed.decode(framed)
    assert event.value == VALUE
    assert {name: type(value) for name, value in event.value.items()} == {n: type(v) for n, v in VALUE.items()}
    assert typed.to_json(event) == SHOWN
    assert json.loads(json.dumps(typed.to_json(event))) == SHOWN
    assert typed.encode(ORDER, event.value) == framed
    assert typed.encode(ORDER, typed.from_json(ORDER, SHOWN)) == framed
    theirs: Any = schemaless_reader(
        BytesIO(framed[5:]), parse_schema(json.loads(Registry.load(folder).latest(ORDER).text))
    )
    assert theirs["price"] == VALUE["price"]
    assert theirs["wides"] == VALUE["wides"]
    assert theirs["day"] == date(2024, 2, 29)
    assert theirs["at"] == datetime(2024, 1, 1, 0, 0, 0, 123456, UTC)


def test_code_may_hand_over_pythons_own_objects(typed: Codec) -> None:
    objects = {
        **VALUE,
        "placed_at": datetime(1970, 1, 1, 0, 0, 0, 1000, UTC),
        "day": date(2024, 2, 29),
        "clock": time(10, 15, 0, 250_000),
        "at": datetime(2024, 1, 1, 0, 0, 0, 123456, UTC),
        "uid": uuid.UUID(VALUE["uid"]),
        "raw_uid": uuid.UUID(int=1),
        "prices": [0, -1],
    }
    assert typed.encode(ORDER, objects) == typed.encode(ORDER, VALUE)


def test_json_numbers_are_taken_exactly(typed: Codec) -> None:
    assert typed.exact(ORDER)
    text = json.dumps({**SHOWN, "price": 0, "half": 0.1}).replace('"price": 0', '"price": 9999999999.99')
    value = typed.decode(typed.encode_json(ORDER, parse(text))).value
    assert value["price"] == Decimal("9999999999.99")
    assert value["half"] == 0.1
    with pytest.raises(InvalidEvent, match=r"/price: found 0\.1"):
        typed.encode_json(ORDER, {**SHOWN, "price": 0.1})


def test_an_event_without_decimals_needs_no_exact_numbers(folder: Path) -> None:
    assert not Codec(Registry.load(folder)).exact(ORDER)


@pytest.mark.parametrize(
    ("field", "json_value", "found", "expected"),
    [
        (
            "price",
            "12.345",
            '"12.345" (string): more than 2 digits behind the point',
            "decimal of 12 digits, 2 of them",
        ),
        ("price", Decimal("12.345"), "12.345 (number): more than 2 digits behind the point", "decimal of 12 digits"),
        ("price", "1e999999999", '"1e999999999" (string): not a decimal number', "decimal of 12 digits"),
        ("day", "2023-02-29", '"2023-02-29" (string): day is out of range for month', "date of the years 1 to 9999"),
        ("at", "2024-01-01T00:00:00.1234567Z", "more than 6 digits of a second", "timestamp of the years 1 to 9999"),
        ("placed_at", "2024-01-01T00:00:00.1234Z", "more than 3 digits of a second", "timestamp of the years"),
        ("uid", "nope", '"nope" (string)', "UUID, as 8-4-4-4-12 hexadecimal digits or null"),
        ("raw_uid", "\u0000" * 16, "(string)", "UUID, as 8-4-4-4-12 hexadecimal digits"),
        ("length", "P1D ", "not a duration as P1M2DT3.004S", "duration (ISO 8601"),
    ],
)
def test_a_refusal_names_field_found_reason_and_expected(
    typed: Codec, field: str, json_value: Any, found: str, expected: str
) -> None:
    with pytest.raises(InvalidEvent) as raised:
        typed.encode_json(ORDER, {**SHOWN, field: json_value})
    (error,) = raised.value.errors
    assert error.path == f"/{field}"
    assert found in error.found
    assert expected in error.expected


@pytest.mark.parametrize(
    ("field", "value"),
    [("uid", "nope"), ("day", 2_932_897), ("day", "2024-02-29"), ("price", 0.5), ("price", Decimal("0.005")),
     ("raw_uid", bytes(16)), ("length", bytes(12)), ("at", datetime(2024, 1, 1))],  # noqa: DTZ001
)  # fmt: skip
def test_what_code_hands_over_is_checked_at_the_door(typed: Codec, field: str, value: Any) -> None:
    with pytest.raises(InvalidEvent, match=f"/{field}"):
        typed.encode(ORDER, {**VALUE, field: value})


def test_a_missing_field_and_an_older_event_take_the_default_of_the_base(
    folder: Path, new_version: Callable[..., Any]
) -> None:
    plain = {"order_id": "1", "lines": [], "placed_at": 1, "note": None}
    old = Codec(Registry.load(folder)).encode(ORDER, plain)
    new_version(2, **{name: {"type": FIELDS[name], "default": default} for name, default in DEFAULTS.items()})
    add(folder, "shop/order_placed.v2.avsc")
    codec = Codec(Registry.load(folder))
    wanted = {
        **plain,
        "price": Decimal("12.34"),
        "wide": Decimal("-1e-10"),
        "day": 19_782,
        "uid": None,
        "raw_uid": "00000000-0000-0000-0000-000000000001",
        "length": Duration(1, 0, 0),
        "prices": [Decimal("0.01"), Decimal("-0.01")],
        "half": 1.0,
    }
    assert codec.decode(old).value == wanted
    assert codec.decode(codec.encode(ORDER, plain)).value == wanted
    assert codec.decode(codec.encode_json(ORDER, plain)).value == wanted
    assert codec.to_json(codec.decode(old))["price"] == "12.34"


@pytest.mark.parametrize(("kind", "default"), [(PRICE, "12.34xxx"), (UID, "nope"), (DAY, 2**31 - 1)])
def test_a_default_that_its_type_refuses_is_named_before_it_has_an_id(
    folder: Path, new_version: Callable[..., Any], kind: Any, default: Any
) -> None:
    new_version(2, odd={"type": kind, "default": default})
    faults = check(folder)
    assert any("order_placed.v2.avsc: a default does not fit its type" in fault for fault in faults), faults


def test_an_older_field_is_read_as_the_newest_has_it(folder: Path, new_version: Callable[..., Any]) -> None:
    """Logical types count by the reader; of a union, by the branch that reads the value."""
    new_version(2, a={"type": "bytes", "default": ""}, b={"type": RAW_UID, "default": "\u0000" * 16})
    add(folder, "shop/order_placed.v2.avsc")
    plain = {"order_id": "1", "lines": [], "placed_at": 1, "note": None, "a": b"\x04\xd2", "b": str(uuid.UUID(int=1))}
    old = Codec(Registry.load(folder)).encode(ORDER, plain)
    bare = {key: part for key, part in RAW_UID.items() if key != "logicalType"}
    new_version(3, a={"type": ["null", PRICE], "default": None}, b={"type": bare, "default": "\u0000" * 16})
    add(folder, "shop/order_placed.v3.avsc")
    value = Codec(Registry.load(folder)).decode(old).value
    assert value == {**plain, "a": Decimal("12.34"), "b": uuid.UUID(int=1).bytes}


def test_runs_of_events_are_read_as_single_ones(folder: Path, new_version: Callable[..., Any]) -> None:
    regular = ("price", "wide", "day", "uid", "raw_uid", "length", "maybe")
    new_version(2, lines=None, **{name: {"type": FIELDS[name]} for name in regular})
    (folder / "shop/order_placed.v1.avsc").unlink()
    (folder / "shop/order_placed.v2.avsc").rename(folder / "shop/order_placed.v1.avsc")
    (folder / "ids.lock").unlink()
    add(folder, "shop/order_placed.v1.avsc")
    codec = Codec(Registry.load(folder))
    value = {name: VALUE[name] for name in ("order_id", "placed_at", "note", *regular)}
    framed = [
        codec.encode(ORDER, {**value, "price": Decimal(number), "uid": None if number % 3 else VALUE["uid"]})
        for number in range(-500, 500)
    ]
    (newest,) = codec.newest.values()
    newest.runs.read(framed)  # enough to be worth the expression
    many = newest.runs.read(framed)
    assert not newest.runs.irregular
    assert many == [codec.decode(one).value for one in framed]
    assert len(framed) > RUN_FROM


def test_bytes_that_mean_nothing_are_undecodable_alone(folder: Path, new_version: Callable[..., Any]) -> None:
    new_version(2, price={"type": PRICE, "default": ""})
    add(folder, "shop/order_placed.v2.avsc")
    codec = Codec(Registry.load(folder))
    plain = {"order_id": "1", "lines": [], "placed_at": 1, "note": None}
    good = codec.encode(ORDER, {**plain, "price": 1})
    body = good[: good.rindex(b"\x02\x64")] + b"\xd0\x0f" + b"\x01" * 1000
    with pytest.raises(Undecodable, match="a decimal of more than 512 bytes"):
        codec.decode(body)


def test_what_a_foreign_producer_wrote_beyond_the_range_is_shown_as_a_number(typed: Codec) -> None:
    framed = typed.encode(ORDER, {**VALUE, "day": 2_932_896})
    foreign = framed.replace(b"\xc0\x82\xe6\x02", b"\xc2\x82\xe6\x02")
    assert foreign != framed
    event = typed.decode(foreign)
    assert event.value["day"] == 2_932_897
    assert typed.to_json(event)["day"] == 2_932_897


@pytest.mark.parametrize(
    ("posted", "kept"),
    [
        ({"price": "12.34", "day": "2024-02-29", "at": "2024-01-01T00:00:00.123456Z"}, ("12.34", 19_782, 123_456)),
        ('{"price": 12.34, "day": 19782, "at": 1704067200123456}', ("12.34", 19_782, 123_456)),
        ({"price": "-0.01", "day": "1969-12-31", "at": "2024-01-01T05:30:00+05:30"}, ("-0.01", -1, 0)),
        ({"price": "12.345"}, "/price"),
        ({"price": "99999999999.99"}, "/price"),
        ({"day": "2023-02-29"}, "/day"),
        ({"at": "2024-01-01T00:00:00.123456789Z"}, "/at"),
        ({"uid": "nope"}, "/uid"),
    ],
)
def test_what_a_new_user_posts_first(typed: Codec, posted: Any, kept: Any) -> None:
    """Prices as text or numbers, dates and times as text or counts; what can't be kept whole is refused, not cut."""
    value = {**SHOWN, **(parse(posted) if isinstance(posted, str) else posted)}
    if isinstance(kept, str):
        with pytest.raises(InvalidEvent) as raised:
            typed.encode_json(ORDER, value)
        assert [error.path for error in raised.value.errors] == [kept]
        return
    price, day, micros = kept
    read = typed.decode(typed.encode_json(ORDER, value)).value
    assert (read["price"], read["day"], read["at"]) == (Decimal(price), day, 1_704_067_200_000_000 + micros)
