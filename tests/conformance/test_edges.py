"""Values at the edges of every logical type: what the codec writes is what Apache Avro's own library writes, and each
reads the other's bytes.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from atlas_contracts.codec import Codec

from tests.conformance.avro_java import AvroJava
from tests.conformance.mesh_of_one import BEFORE, EVENT, KEY, codec_of, frame

NINES = "9" * 28 + "." + "9" * 10
DAYS = ("0001-01-01", "1582-10-15", "1900-02-28", "1969-12-31", "1970-01-01", "2000-02-29", "2024-02-29", "9999-12-31")
UUIDS = ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
         "123e4567-e89b-12d3-a456-426614174000")  # fmt: skip


def decimal(base: Any, precision: int, scale: int) -> dict[str, Any]:
    made = base if isinstance(base, dict) else {"type": base}
    return made | {"logicalType": "decimal", "precision": precision, "scale": scale}


def fixed(size: int) -> dict[str, Any]:
    return {"type": "fixed", "name": "t.F", "size": size}


def times(digits: int) -> list[str]:
    return [f"00:00:00.{'0' * digits}", f"00:00:00.{'1'.zfill(digits)}", "12:30:15", f"23:59:59.{'9' * digits}"]


def moments(digits: int, days: tuple[str, ...] = DAYS) -> list[str]:
    return [f"{day}T{time}" for day in days for time in times(digits)]


NANO_DAYS = ("1677-09-22", "1969-12-31", "1970-01-01", "2000-02-29", "2262-04-10")
NANO_ENDS = ["1677-09-21T00:12:44.000000000", "2262-04-11T23:47:16.854775807"]
CASES: list[tuple[dict[str, Any], list[str]]] = [
    (decimal("bytes", 38, 10), ["0", "1", "-1", "0.0000000001", "-0.0000000001", NINES, f"-{NINES}", "1.28", "-1.28"]),
    (decimal("bytes", 38, 0), ["0", "127", "128", "-128", "-129", "255", "256", "9" * 38, "-" + "9" * 38]),
    (decimal("bytes", 1, 1), ["0.9", "-0.9", "0.0"]),
    (decimal(fixed(16), 38, 10), ["0", "1", "-1", NINES, f"-{NINES}"]),
    (decimal(fixed(1), 2, 1), ["0", "9.9", "-9.9", "-0.1"]),
    ({"type": "int", "logicalType": "date"}, list(DAYS)),
    ({"type": "int", "logicalType": "time-millis"}, times(3)),
    ({"type": "long", "logicalType": "time-micros"}, times(6)),
    ({"type": "long", "logicalType": "local-timestamp-millis"}, moments(3)),
    ({"type": "long", "logicalType": "local-timestamp-micros"}, moments(6)),
    ({"type": "long", "logicalType": "local-timestamp-nanos"}, moments(9, NANO_DAYS) + NANO_ENDS),
    ({"type": "long", "logicalType": "timestamp-millis"}, [f"{moment}Z" for moment in moments(3)]),
    ({"type": "long", "logicalType": "timestamp-micros"}, [f"{moment}Z" for moment in moments(6)]),
    ({"type": "long", "logicalType": "timestamp-nanos"}, [f"{one}Z" for one in moments(9, NANO_DAYS) + NANO_ENDS]),
    ({"type": "string", "logicalType": "uuid"}, list(UUIDS)),
    (fixed(16) | {"logicalType": "uuid"}, list(UUIDS)),
]


def title(definition: dict[str, Any]) -> str:
    return " ".join(str(definition[name]) for name in ("type", "logicalType", "precision") if name in definition)


def encoded(codec: Codec, value: Any) -> bytes:
    return codec.encode_json(EVENT, {"k": KEY, "f": value})[BEFORE:]


def rendered(codec: Codec, body: bytes) -> Any:
    return codec.to_json(codec.decode(frame(codec) + body))["f"]


@pytest.mark.parametrize(("definition", "texts"), CASES, ids=[title(definition) for definition, _ in CASES])
def test_each_writes_the_same_bytes_and_reads_the_others(
    java: AvroJava, tmp_path: Path, definition: dict[str, Any], texts: list[str]
) -> None:
    codec, schema = codec_of(tmp_path, definition), json.dumps(definition)
    for text in texts:
        body = encoded(codec, text)
        if not _is_misread_by_java(definition, text):
            assert java.ask("from_text", schema=schema, text=text)["hex"] == body.hex(), text
        told = java.ask("to_text", schema=schema, hex=body.hex())["text"]
        # Java leaves out zeros at the end: its text is the same value where it is the same bytes.
        assert encoded(codec, told) == body, (text, told)
        assert encoded(codec, rendered(codec, body)) == body, text


def _is_misread_by_java(definition: dict[str, Any], text: str) -> bool:
    """Before 1970 its conversion of nanoseconds takes a millisecond for a second; what it reads is right."""
    return "nanos" in definition["logicalType"] and text < "1970" and set(text[20:]) & set("123456789") != set()


@pytest.mark.parametrize(
    ("text", "in_utc"),
    [
        ("2024-02-29T23:59:59.999+14:00", "2024-02-29T09:59:59.999Z"),
        ("2024-01-01T05:30:00+05:30", "2024-01-01T00:00:00Z"),
        ("1969-12-31T23:59:59.999-00:00", "1969-12-31T23:59:59.999Z"),
        ("9999-12-31T00:00:00-23:59", "9999-12-31T23:59:00Z"),
        ("0001-01-02T00:00:00+23:59", "0001-01-01T00:01:00Z"),
    ],
)
def test_an_offset_is_the_same_moment(java: AvroJava, tmp_path: Path, text: str, in_utc: str) -> None:
    definition = {"type": "long", "logicalType": "timestamp-millis"}
    codec = codec_of(tmp_path, definition)
    expected = java.ask("from_text", schema=json.dumps(definition), text=in_utc)["hex"]
    assert encoded(codec, text).hex() == expected


PLAIN: list[tuple[str, list[Any]]] = [
    ("int", [0, -1, 1, 63, 64, -64, -65, 2**31 - 1, -(2**31)]),
    ("long", [0, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]),
    ("float", [0.0, -0.0, 1.5, 3.4028234663852886e38, -3.4028234663852886e38, 1.401298464324817e-45]),
    ("double", [0.0, -0.0, 0.1, 1.7976931348623157e308, -1.7976931348623157e308, 5e-324]),
    ("string", ["", "\u0000", "\u20ac\U0001f600", "a" * 2**20]),
    ("bytes", ["", "\u0000\u00ff\u0080", "\u00ff" * 2**20]),
]


@pytest.mark.parametrize(("kind", "values"), PLAIN, ids=[kind for kind, _ in PLAIN])
def test_primitives_at_their_edges(java: AvroJava, tmp_path: Path, kind: str, values: list[Any]) -> None:
    codec, schema = codec_of(tmp_path, kind), json.dumps(kind)
    for value in values:
        body = encoded(codec, value)
        assert java.ask("from_json", schema=schema, json=json.dumps(value))["hex"] == body.hex()
        assert java.ask("resolve", writer=schema, reader=schema, values=[body.hex()])["values"] == [{"hex": body.hex()}]
        assert repr(rendered(codec, body)) == repr(value)


@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_has_not(java: AvroJava, tmp_path: Path, kind: str, number: float) -> None:
    """They come from code and from other producers."""
    codec, schema = codec_of(tmp_path, kind), json.dumps(kind)
    body = codec.encode(EVENT, {"k": KEY, "f": number})[BEFORE:]
    read = java.ask("resolve", writer=schema, reader=schema, values=[body.hex()])["values"]
    assert read == [{"hex": body.hex()}]
    assert repr(codec.decode(frame(codec) + body).value["f"]) == repr(number)


DURATIONS = [
    ("P0M0DT0.000S", "000000000000000000000000"),
    ("P1M2DT3.004S", "0100000002000000bc0b0000"),
    ("P4294967295M4294967295DT4294967.295S", "ff" * 12),
]


@pytest.mark.parametrize(("text", "hexadecimal"), DURATIONS)
def test_a_duration_is_three_numbers_the_low_byte_first(tmp_path: Path, text: str, hexadecimal: str) -> None:
    """By the specification's words."""
    codec = codec_of(tmp_path, fixed(12) | {"logicalType": "duration"})
    assert encoded(codec, text).hex() == hexadecimal
    assert rendered(codec, bytes.fromhex(hexadecimal)) == text


_PARTS = (0, 1, 12, 29, 365, 1_000, 86_399_999, 2**31 - 1, 2**31, 2**32 - 1)


@pytest.mark.parametrize("months", _PARTS)
@pytest.mark.parametrize("days", _PARTS)
def test_a_duration_is_what_javas_class_for_it_is(java: AvroJava, tmp_path: Path, months: int, days: int) -> None:
    """To text its class would turn twelve months to a year, so its three numbers are compared."""
    definition = fixed(12) | {"logicalType": "duration"}
    codec, schema = codec_of(tmp_path, definition), json.dumps(definition)
    for millis in _PARTS:
        body = encoded(codec, f"P{months}M{days}DT{millis // 1000}.{millis % 1000:03d}S")
        numbers = f"{months} {days} {millis}"
        assert java.ask("to_text", schema=schema, hex=body.hex())["text"] == numbers
        assert java.ask("from_text", schema=schema, text=numbers)["hex"] == body.hex()
