"""Limits of a value that no size of its bytes sets: how deep it may nest, how many items without a byte it may have.

A schema in which a type holds itself allows any depth, and the items of an array of nulls take no byte at all: both let
a small record end a process. What is encoded keeps these limits, and what is decoded has to.
"""

from collections.abc import Mapping
from typing import Any

from atlas_avro.names import NAMED
from atlas_avro.walk import parts

from atlas_contracts.evolution.resolution import named_types

# Arrays, maps and records around a value. Readers and renderers take up to four frames for each, of the 1,000 that
# Python allows by default, and JSON writers stop at 254.
NESTING_MAX = 200
# Values that take no byte (null, a record without fields) as items of arrays, with all that is in them, in one value.
# Each is 8 bytes of memory, a record more.
EMPTY_ITEMS_MAX = 65_536


def needs_limits(parsed: Any) -> bool:
    """Whether values of a definition that fastavro has parsed could break a limit and still be small."""
    empty = empty_types(named_types(parsed))
    return holds_itself(parsed) or any(
        isinstance(part, Mapping) and part["type"] == "array" and empty_parts(part["items"], empty)
        for part in parts(parsed)
    )


def limit_faults(parsed: Any) -> list[str]:
    """A line for each type of a definition whose every value breaks a limit, whatever its bytes are."""
    return [
        f"a value of {name} takes no byte, and {number:,} values are in it: more than {EMPTY_ITEMS_MAX:,}"
        for name, number in empty_types(named_types(parsed)).items()
        if number > EMPTY_ITEMS_MAX
    ]


def holds_itself(parsed: Any, within: frozenset[str] = frozenset()) -> bool:
    """Whether a type of this definition holds itself, at any distance; `within`: the names of the types around it."""
    if isinstance(parsed, str):
        return parsed in within
    if isinstance(parsed, list):
        return any(holds_itself(branch, within) for branch in parsed)
    kind = parsed["type"]
    if kind in ("record", "error"):
        inside = within | {parsed["name"]}
        return any(holds_itself(field["type"], inside) for field in parsed["fields"])
    if kind in ("array", "map"):
        return holds_itself(parsed["items" if kind == "array" else "values"], within)
    return kind not in NAMED and holds_itself(kind, within)


def empty_types(named: Mapping[str, Any]) -> dict[str, int]:
    """The named types whose values may take no byte, and how many values are in one of them, itself among these.

    One that holds itself without a byte in between has no finite value, and is none of them.
    """
    found: dict[str, int] = {}
    left = {
        name: definition for name, definition in named.items() if definition["type"] in ("record", "error", "fixed")
    }
    while True:
        now = {name: parts for name, definition in left.items() if (parts := _parts(definition, found))}
        if not now:
            return found
        found |= now
        left = {name: definition for name, definition in left.items() if name not in now}


def empty_parts(parsed: Any, empty: Mapping[str, int]) -> int:
    """How many values are in a value of this definition that takes no byte; 0 when it takes some. `empty`: of the named
    types that it refers to.
    """
    if isinstance(parsed, str):
        return 1 if parsed == "null" else empty.get(parsed, 0)
    return _parts(parsed, empty) if isinstance(parsed, Mapping) else 0


def _parts(parsed: Mapping[str, Any], empty: Mapping[str, int]) -> int:
    kind = parsed["type"]
    if kind in ("record", "error"):
        within = [empty_parts(_by_name(field["type"]), empty) for field in parsed["fields"]]
        return 1 + sum(within) if all(within) else 0
    if kind == "fixed":
        return int(int(parsed["size"]) == 0)
    return 0 if kind in ("array", "map", "enum") else empty_parts(kind, empty)


def _by_name(parsed: Any) -> Any:
    """A definition that stands inside another, as what it is called: it is looked at once, and by itself."""
    return parsed["name"] if isinstance(parsed, Mapping) and parsed["type"] in NAMED else parsed
