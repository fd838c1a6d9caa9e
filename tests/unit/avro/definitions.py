"""A definition or more of each type of the table."""

from typing import Any

from atlas_avro.meaning import Meaning
from atlas_avro.primitives import PRIMITIVES
from atlas_avro.table import meaning

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
