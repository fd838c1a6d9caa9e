"""What Avro's specification forbids in a schema, found before it is given an id.

A parser lets much of it pass, and then each service that reads the schema ends, now or at the first value.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from atlas_avro.names import NAMED, definitions, full_name, own_name
from atlas_avro.table import fault

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
# The largest value of a fixed; a record on Kafka is smaller.
FIXED_MAX = 1024 * 1024
# Types within types as they are written out: records, arrays, maps and unions each count. What reads a schema takes up
# to eight frames for each of the 1,000 that Python allows by default. Values of a type that holds itself go deeper.
NESTING_MAX = 104

# As Avro's Java library has them, in any case.
ORDERS = ("ascending", "descending", "ignore")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RULE = "letters, digits and _, not a digit first"


def form_faults(definition: Any) -> list[str]:
    """A line for each rule that a definition, as it stands in an .avsc, breaks: where, what was found, what may be."""
    try:
        names = frozenset(definitions(definition))
    except RecursionError:
        names = frozenset()  # which is said below, of how deep it is
    return list(_faults(definition, _Place("", "", 0, names)))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a type stands: the path through the fields, the namespace around it, how deep it is.

    `names`: the full names of all types of the schema.
    """

    path: str
    namespace: str
    depth: int
    names: frozenset[str]

    def __str__(self) -> str:
        return self.path or "the schema"

    def inside(self, step: str = "") -> "_Place":
        return replace(self, path=self.path + step, depth=self.depth + 1)


def _faults(definition: Any, here: _Place) -> Iterator[str]:
    if here.depth > NESTING_MAX:
        yield f"{here}: nested deeper than {NESTING_MAX}"
    elif isinstance(definition, list):
        yield from _union_faults(definition, here)
    elif isinstance(definition, Mapping):
        yield from _type_faults(definition, here)
    elif not isinstance(definition, str):
        yield f"{here}: {definition!r} is no type: expected a name, an object or a list"


def _type_faults(definition: Mapping[str, Any], here: _Place) -> Iterator[str]:
    kind = definition.get("type")
    if kind in NAMED:
        yield from _name_faults(definition, here)
    if kind in ("record", "error"):
        namespace = own_name(definition, here.namespace).rpartition(".")[0] if "name" in definition else ""
        yield from _fields_faults(definition.get("fields"), replace(here, namespace=namespace))
    elif kind == "enum":
        yield from _symbols_faults(definition, here)
    elif kind == "fixed":
        size = definition.get("size")
        if type(size) is not int or not 0 <= size <= FIXED_MAX:
            yield f"{here}: the size of a fixed is {size!r}, not a whole number from 0 to {FIXED_MAX}"
    elif kind in ("array", "map"):
        part = "items" if kind == "array" else "values"
        if part not in definition:
            yield f"{here}: the {kind} has no `{part}`"
        else:
            yield from _faults(definition[part], here.inside(f"/{part}"))
    elif isinstance(kind, Mapping | list):
        yield from _faults(kind, here.inside())
    elif not isinstance(kind, str):
        yield f"{here}: no `type`"
    if (wrong := fault(definition)) is not None:
        yield f"{here}: {wrong}"


def _union_faults(branches: Sequence[Any], here: _Place) -> Iterator[str]:
    if not branches:
        yield f"{here}: a union without branches has no value"
    kinds = []
    for branch in branches:
        if isinstance(branch, list):
            yield f"{here}: a union right inside a union"
            continue
        kinds.append(_branch_kind(branch, here))
        yield from _faults(branch, here.inside())
    for kind in sorted({kind for kind in kinds if kinds.count(kind) > 1}):
        yield f"{here}: {kind} is twice in the union, which may have each type once"


def _branch_kind(branch: Any, here: _Place) -> str:
    """What a union may hold once: an unnamed type, or a type of one full name."""
    if isinstance(branch, Mapping):
        kind = branch.get("type")
        if kind in NAMED and "name" in branch:
            return own_name(branch, here.namespace)
        return _branch_kind(kind, here) if isinstance(kind, str | Mapping) else "?"
    name = str(branch)
    full = full_name(name, here.namespace)
    return name if name in (*PRIMITIVES, "array", "map") or full not in here.names else full


def _name_faults(definition: Mapping[str, Any], here: _Place) -> Iterator[str]:
    for attribute in ("name", "namespace"):
        value = definition.get(attribute)
        if value is None and attribute == "namespace":
            continue
        if value == "" and attribute == "namespace":
            continue
        if not isinstance(value, str) or not all(_NAME.fullmatch(part) for part in value.split(".")):
            yield f"{here}: the {attribute} {value!r} is not {_RULE}"
        elif attribute == "name" and own_name(definition, here.namespace) in PRIMITIVES:
            yield f"{here}: the name {value} is a primitive type's"
    yield from _aliases_faults(definition, here, dotted=True)


def _aliases_faults(definition: Mapping[str, Any], here: _Place, *, dotted: bool) -> Iterator[str]:
    aliases = definition.get("aliases", [])
    parts = (
        [str(alias).split(".") if dotted else [str(alias)] for alias in aliases] if type(aliases) is list else [[""]]
    )
    if not all(_NAME.fullmatch(part) for alias in parts for part in alias):
        yield f"{here}: the aliases {aliases!r} are not a list of names ({_RULE})"


def _fields_faults(fields: Any, here: _Place) -> Iterator[str]:
    if not isinstance(fields, list) or not all(isinstance(field, Mapping) for field in fields):
        yield f"{here}: `fields` is not a list of objects"
        return
    names = [field.get("name") for field in fields]
    for field, name in zip(fields, names, strict=True):
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            yield f"{here}: the field's name {name!r} is not {_RULE}"
            continue
        there = here.inside(f"/{name}")
        if "type" not in field:
            yield f"{there}: no `type`"
            continue
        if str(order := field.get("order", ORDERS[0])).lower() not in ORDERS:
            yield f"{there}: the order {order!r} is none of {', '.join(ORDERS)}"
        yield from _aliases_faults(field, there, dotted=False)
        yield from _faults(field["type"], there)
    for name in sorted({str(name) for name in names if names.count(name) > 1}):
        yield f"{here.path}/{name}: two fields of this name"
    claimed = [alias for field in fields if isinstance(field.get("aliases"), list) for alias in field["aliases"]]
    for alias in sorted({str(alias) for alias in claimed if claimed.count(alias) > 1}):
        yield f"{here}: two fields have the alias {alias}"


def _symbols_faults(definition: Mapping[str, Any], here: _Place) -> Iterator[str]:
    symbols = definition.get("symbols")
    if not isinstance(symbols, list) or not symbols:
        yield f"{here}: `symbols` is not a list of one name at least"
        return
    for symbol in symbols:
        if not isinstance(symbol, str) or not _NAME.fullmatch(symbol):
            yield f"{here}: the symbol {symbol!r} is not {_RULE}"
    for symbol in sorted({str(symbol) for symbol in symbols if symbols.count(symbol) > 1}):
        yield f"{here}: the symbol {symbol} is there twice"
    if definition.get("default") is not None and definition["default"] not in symbols:
        yield f"{here}: the default {definition['default']!r} is none of its symbols"
