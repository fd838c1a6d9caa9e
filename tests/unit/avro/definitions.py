"""A definition or more of each type of the table, and values of each."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Context, Decimal
from typing import Any

from atlas_avro.durations import Duration
from atlas_avro.meaning import Meaning
from atlas_avro.primitives import PRIMITIVES
from atlas_avro.table import meaning
from hypothesis import strategies as st

MILLIS, MICROS, NANOS = 10**3, 10**6, 10**9
YEAR_1, YEAR_10000 = -62_135_596_800, 253_402_300_800  # in seconds


def decimal(precision: int, scale: int = 0, size: int | None = None) -> dict[str, Any]:
    stood_on = {"type": "bytes"} if size is None else {"type": "fixed", "name": "t.F", "size": size}
    return {**stood_on, "logicalType": "decimal", "precision": precision, "scale": scale}


def on(base: str, name: str) -> dict[str, Any]:
    return {"type": base, "logicalType": name}


DATE = on("int", "date")
TIME_MS, TIME_US = on("int", "time-millis"), on("long", "time-micros")
MS, US, NS = (on("long", f"timestamp-{unit}") for unit in ("millis", "micros", "nanos"))
LOCAL_MS, LOCAL_US, LOCAL_NS = (on("long", f"local-timestamp-{unit}") for unit in ("millis", "micros", "nanos"))
UUID, UUID_FIXED = on("string", "uuid"), {"type": "fixed", "name": "t.U", "size": 16, "logicalType": "uuid"}
DURATION = {"type": "fixed", "name": "t.D", "size": 12, "logicalType": "duration"}
FIXED = {"type": "fixed", "name": "t.X", "size": 3}
DEFINITIONS: list[Any] = [
    *PRIMITIVES, FIXED, decimal(1), decimal(12, 2), decimal(38, 38), decimal(1000, 500), decimal(9, 2, 4),
    decimal(38, 10, 20), UUID, UUID_FIXED, DATE, TIME_MS, TIME_US, MS, US, NS, LOCAL_MS, LOCAL_US, LOCAL_NS, DURATION,
]  # fmt: skip


def of(definition: Any) -> Meaning:
    found = meaning(definition)
    assert found is not None
    return found


def python(definition: Any, made: Any) -> Any:
    """The Python value of a base."""
    to_python = of(definition).value
    return made if to_python is None else to_python(made)


WIDE = Context(prec=2000)


def handed_over(definition: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911
    """What code may hand over for a type."""
    name = of(definition).name
    if name in PRIMITIVES:
        return {
            "null": st.none(), "boolean": st.booleans(), "int": st.integers(-(2**31), 2**31 - 1),
            "long": st.integers(-(2**63), 2**63 - 1), "float": st.floats(width=32, allow_nan=False),
            "double": st.floats(allow_nan=False) | st.integers(-(10**300), 10**300),
            "string": st.text(st.characters(exclude_categories=["Cs"])), "bytes": st.binary(),
        }[name]  # fmt: skip
    if name == "fixed":
        return st.binary(min_size=definition["size"], max_size=definition["size"])
    if name == "decimal":
        precision, scale = definition["precision"], definition["scale"]
        most = 10**precision - 1
        return st.integers(-most, most).map(lambda number: Decimal(number).scaleb(-scale, WIDE))
    if name == "uuid":
        return st.uuids() | st.uuids().map(str) | st.uuids().map(lambda found: str(found).upper())
    if name == "duration":
        part = st.integers(0, 2**32 - 1)
        return st.builds(Duration, part, part, part)
    if name == "date":
        return st.dates() | st.integers(-719_162, 2_932_896)
    digits = {"millis": 3, "micros": 6, "nanos": 9}[name.rpartition("-")[2]]
    cut = 10 ** (6 - min(digits, 6))
    if name.startswith("time-"):
        return st.integers(0, 86_400 * 10**digits - 1) | st.times().map(
            lambda found: found.replace(microsecond=found.microsecond // cut * cut)
        )
    first, last = (1678, 2261) if digits == 9 else (2, 9998)
    zones = (
        st.none() if name.startswith("local") else st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30))])
    )
    least, most = (-(2**63), 2**63 - 1) if digits == 9 else (YEAR_1 * 10**digits, YEAR_10000 * 10**digits - 1)
    moments = st.datetimes(*(datetime(year, 6, 1) for year in (first, last)), timezones=zones).map(  # noqa: DTZ001
        lambda found: found.replace(microsecond=found.microsecond // cut * cut)
    )
    return st.integers(least, most) | moments
