"""Check a value against an Avro schema: strictly, with every fault's path.

A schema is turned into nested closures once. A closure takes a value and whether it came from JSON, and gives back
the value to be encoded, defaults filled in, or raises Faults. Each part of a value is looked at once, whatever is wrong
with it: to look again for the reason would double the work at each level of a value that nests.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from atlas_contracts.errors import FieldError
from atlas_contracts.scalars import SCALARS, Faults, Shape, describe, null, octets, refuse, string, timestamp_millis

MAX_FAULTS = 100

_MISSING = object()


def compile_shape(definition: Any, names: dict[str, Shape]) -> Shape:
    """The check for a definition that fastavro has parsed (full names), its logical types still in place.

    `names` holds the named types met so far and takes those of this definition.
    """
    if isinstance(definition, list):
        return _union([compile_shape(branch, names) for branch in definition])
    if isinstance(definition, str):
        return SCALARS.get(definition) or names[definition]
    kind = definition["type"]
    if kind == "long" and definition.get("logicalType") == "timestamp-millis":
        return timestamp_millis
    maker = _MAKERS.get(kind) if isinstance(kind, str) else None
    return maker(definition, names) if maker else compile_shape(kind, names)


def _record(definition: Mapping[str, Any], names: dict[str, Shape]) -> Shape:
    fields: list[tuple[str, Shape]] = []
    defaults: dict[str, Any] = {}
    title = definition["name"]
    known = frozenset(field["name"] for field in definition["fields"])

    def record(value: Any, json: bool) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise refuse(value, f"object ({title})")
        errors: list[FieldError] = []
        result: dict[str, Any] = {}
        for name, shape in fields:
            if name in value:
                try:
                    result[name] = shape(value[name], json)
                except Faults as faults:
                    errors += _below(name, faults.errors)
            elif name in defaults:
                result[name] = copy.deepcopy(defaults[name])
            else:
                errors += _below(name, [FieldError("", "nothing", _wanted(shape, json))])
        if not known.issuperset(value):
            errors += _unknown(value, known, title)
        if errors:
            raise Faults(errors[:MAX_FAULTS])
        return result

    names[title] = record  # before the fields: a record may hold itself
    fields += [(field["name"], compile_shape(field["type"], names)) for field in definition["fields"]]
    for field, (name, shape) in zip(definition["fields"], fields, strict=True):
        if "default" in field:
            defaults[name] = shape(field["default"], True)
    return record


def _unknown(value: Mapping[Any, Any], known: frozenset[str], title: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, item in value.items():
        if len(errors) >= MAX_FAULTS:
            break
        if name not in known:
            errors += _below(name, refuse(item, f"no such field in {title}").errors)
    return errors


def _wanted(shape: Shape, json: bool) -> str:
    """What a shape expects, in its own words."""
    try:
        shape(_MISSING, json)
    except Faults as faults:
        return faults.errors[0].expected
    raise AssertionError("a shape takes anything")


def _enum(definition: Mapping[str, Any], names: dict[str, Shape]) -> Shape:
    known: dict[str, str] = {symbol: symbol for symbol in definition["symbols"]}
    expected = "one of " + ", ".join(known)

    def enum(value: Any, json: bool) -> str:
        if isinstance(value, str) and value in known:
            return known[value]
        raise refuse(value, expected)

    names[definition["name"]] = enum
    return enum


def _fixed(definition: Mapping[str, Any], names: dict[str, Shape]) -> Shape:
    size = definition["size"]

    def fixed(value: Any, json: bool) -> bytes:
        try:
            raw = octets(value, json)
        except Faults as faults:
            raise refuse(value, f"{size} of {faults.errors[0].expected}") from None
        if len(raw) != size:
            raise refuse(value, f"exactly {size} bytes")
        return raw

    names[definition["name"]] = fixed
    return fixed


def _array(definition: Mapping[str, Any], names: dict[str, Shape]) -> Shape:
    shape = compile_shape(definition["items"], names)

    def array(value: Any, json: bool) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise refuse(value, "array")
        return [item for _, item in _checked(enumerate(value), shape, json)]

    return array


def _map(definition: Mapping[str, Any], names: dict[str, Shape]) -> Shape:
    shape = compile_shape(definition["values"], names)

    def mapping(value: Any, json: bool) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise refuse(value, "object")
        # Keys first, and alone: a value under a key that can't be written is of no interest.
        _check_keys(value)
        return dict(_checked(value.items(), shape, json))

    return mapping


def _check_keys(value: Mapping[Any, Any]) -> None:
    errors: list[FieldError] = []
    for key in value:
        try:
            string(key, False)
        except Faults:
            errors += _below(key, [FieldError("", f"the key {describe(key)}", "a UTF-8 string as the key")])
        if len(errors) >= MAX_FAULTS:
            break
    if errors:
        raise Faults(errors[:MAX_FAULTS])


def _checked(items: Iterable[tuple[Any, Any]], shape: Shape, json: bool) -> list[tuple[Any, Any]]:
    """The items of an array or a map with their values checked, or the faults of all of them."""
    errors: list[FieldError] = []
    checked: list[tuple[Any, Any]] = []
    for step, item in items:
        try:
            checked.append((step, shape(item, json)))
        except Faults as faults:
            errors += _below(step, faults.errors)
            if len(errors) >= MAX_FAULTS:
                break
    if errors:
        raise Faults(errors[:MAX_FAULTS])
    return checked


def _below(step: object, errors: Sequence[FieldError]) -> list[FieldError]:
    """The same faults as seen from the value that holds this one under `step`."""
    pointer = "/" + str(step).replace("~", "~0").replace("/", "~1").encode(errors="replace").decode()
    return [FieldError(pointer + error.path, error.found, error.expected) for error in errors]


def _union(branches: Sequence[Shape]) -> Shape:
    if len(branches) == 2 and branches[0] is null:
        inner = branches[1]

        def optional(value: Any, json: bool) -> Any:
            if value is None:
                return None
            try:
                return inner(value, json)
            except Faults as faults:
                raise _of_branches(value, [faults], ["null"]) from None

        return optional

    def union(value: Any, json: bool) -> Any:
        refused = []
        for branch in branches:
            try:
                return branch(value, json)
            except Faults as faults:
                refused.append(faults)
        raise _of_branches(value, refused, [])

    return union


def _of_branches(value: object, refused: Sequence[Faults], others: Sequence[str]) -> Faults:
    """The faults of the one branch that looked inside the value, or one fault that names every branch."""
    inside = [faults for faults in refused if any(error.path for error in faults.errors)]
    if len(inside) == 1:
        return inside[0]
    return refuse(value, " or ".join([*(faults.errors[0].expected for faults in refused), *others]))


_MAKERS: dict[str, Callable[[Mapping[str, Any], dict[str, Shape]], Shape]] = {
    "record": _record,
    "enum": _enum,
    "fixed": _fixed,
    "array": _array,
    "map": _map,
}
