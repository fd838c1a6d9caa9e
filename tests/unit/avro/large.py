"""Schemas that cost much where something is done for each place, and not for each type."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KINDS: tuple[Any, ...] = (
    "string", "long", ["null", "string"], ["null", {"type": "long", "logicalType": "timestamp-millis"}],
    {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}, ["int", "long", "string"],
    {"type": "array", "items": "int"}, {"type": "map", "values": ["null", "double"]},
)  # fmt: skip
LEVELS = 50
# Of one step with one of these schemas, in seconds of the processor; each takes less than one.
COST_MAX_S = 10.0


def record(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": field, "type": of} for field, of in fields.items()]}


def columns(count: int) -> dict[str, Any]:
    return {f"f{number}": KINDS[number % len(KINDS)] for number in range(count)}


def event(kind: Any) -> dict[str, Any]:
    return record("t.R", {"id": "string", "f": kind})


def deep(count: int) -> Any:
    """50 levels of records in unions, each with so many columns."""
    made: Any = "int"
    for level in range(LEVELS):
        made = ["null", record(f"t.N{level}", {**columns(count), "in": made})]
    return made


def fanned(width: int, *, optional: bool, leaf: Any = "int", levels: int = LEVELS) -> Any:
    """Levels each of which holds the one below in so many fields: width^levels places."""
    made, name = leaf, leaf if isinstance(leaf, str) else leaf["name"]
    for level in range(levels):
        fields = {f"a{number}": made if number == 0 else name for number in range(width)}
        if optional:
            fields = {field: ["null", of, "string"] for field, of in fields.items()}
        made, name = record(f"t.N{level}", fields), f"t.N{level}"
    return made


def crowd(count: int) -> dict[str, Any]:
    """Records each of which may hold each before it."""
    return {
        f"r{number}": record(f"t.N{number}", {f"x{other}": ["null", f"t.N{other}"] for other in range(number)})
        for number in range(count)
    }


def unions() -> Any:
    made: Any = "int"
    for _ in range(LEVELS):
        made = ["null", {"type": "array", "items": made}]
    return made


LARGE: dict[str, dict[str, Any]] = {
    "500 columns": record("t.R", {"id": "string", **columns(500)}),
    "50 levels of 10 columns": event(deep(10)),
    "2^50 places": event(fanned(2, optional=False)),
    "10^50 places": event(fanned(10, optional=False)),
    "10^12 places, not deep": event(fanned(10, optional=False, levels=12)),
    "10^50 places in unions": event(fanned(10, optional=True)),
    "40 records in each other": record("t.R", {"id": "string", **crowd(40)}),
    "50 unions in each other": event(unions()),
    "500 ways back": record("t.R", {"id": "string"} | {f"f{number}": ["null", "t.R"] for number in range(500)}),
}
# Values of it take no byte, and are 2^50.
TOO_MUCH_OF_NOTHING = event({"type": "array", "items": fanned(2, optional=False, leaf=record("t.E", {}))})


@contextmanager
def bounded() -> Iterator[None]:
    """What is inside takes so much of the processor and no more."""
    begun = time.process_time()
    yield
    taken = time.process_time() - begun
    assert taken < COST_MAX_S, f"{taken:.1f} s"
