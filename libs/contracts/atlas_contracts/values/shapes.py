"""Check a value against an Avro schema: strictly, with every fault's path.

A schema is turned into nested closures once. A closure takes a value and whether it came from JSON, and gives back
the value to be encoded, defaults filled in, or raises Faults. Each part of a value is looked at once, whatever is wrong
with it: to look again for the reason would double the work at each level of a value that nests.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from atlas_avro.meaning import Meaning
from atlas_avro.primitives import string
from atlas_avro.walk import fold

from atlas_contracts.errors import FieldError
from atlas_contracts.evolution.resolution import named_types
from atlas_contracts.values.scalars import Faults, Form, Shape, describe, refuse, scalar
from atlas_contracts.values.unions import Branches, branches_of

MAX_FAULTS = 100

_MISSING = object()


def compile_shape(definition: Any, names: dict[str, Shape], named: Mapping[str, Any] | None = None) -> Shape:
    """The check for a definition that fastavro has parsed (full names), its logical types still in place.

    `names` holds what was made of the named types met so far and takes those of this definition; `named` are the
    definitions that it refers to and does not have itself.
    """
    return fold(definition, _Maker({**(named or {}), **named_types(definition)}), names)


class _Maker:
    def __init__(self, named: Mapping[str, Any]) -> None:
        self._named = named

    def leaf(self, definition: Any, meaning: Meaning) -> Shape:
        return scalar(definition, meaning)

    def enum(self, definition: Mapping[str, Any]) -> Shape:
        known: dict[str, str] = {symbol: symbol for symbol in definition["symbols"]}
        expected = "one of " + ", ".join(known)

        def enum(value: Any, json: Form) -> str:
            if isinstance(value, str) and value in known:
                return known[value]
            raise refuse(value, expected)

        return enum

    def record(self, definition: Mapping[str, Any]) -> tuple[Shape, Callable[[Sequence[Shape]], None]]:
        fields: list[tuple[str, Shape]] = []
        defaults: dict[str, Any] = {}
        title = definition["name"]
        known = frozenset(field["name"] for field in definition["fields"])

        def record(value: Any, json: Form) -> dict[str, Any]:
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

        def fill(shapes: Sequence[Shape]) -> None:
            for field, shape in zip(definition["fields"], shapes, strict=True):
                fields.append((field["name"], shape))
            for field, shape in zip(definition["fields"], shapes, strict=True):
                if "default" in field:
                    defaults[field["name"]] = shape(field["default"], "default")

        return record, fill

    def array(self, _definition: Mapping[str, Any], items: Shape) -> Shape:
        def array(value: Any, json: Form) -> list[Any]:
            if not isinstance(value, list | tuple):
                raise refuse(value, "array")
            return [item for _, item in _checked(enumerate(value), items, json)]

        return array

    def map(self, _definition: Mapping[str, Any], values: Shape) -> Shape:
        def mapping(value: Any, json: Form) -> dict[str, Any]:
            if not isinstance(value, Mapping):
                raise refuse(value, "object")
            # Keys first, and alone: a value under a key that can't be written is of no interest.
            _check_keys(value)
            return dict(_checked(value.items(), values, json))

        return mapping

    def union(self, branches: Sequence[Any], made: Sequence[Shape]) -> Shape:
        return _union(branches_of(branches, self._named), made)


def _unknown(value: Mapping[Any, Any], known: frozenset[str], title: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, item in value.items():
        if len(errors) >= MAX_FAULTS:
            break
        if name not in known:
            errors += _below(name, refuse(item, f"no such field in {title}").errors)
    return errors


def _wanted(shape: Shape, json: Form) -> str:
    """What a shape expects, in its own words."""
    try:
        shape(_MISSING, json)
    except Faults as faults:
        return faults.errors[0].expected
    raise AssertionError("a shape takes anything")


def _check_keys(value: Mapping[Any, Any]) -> None:
    errors: list[FieldError] = []
    for key in value:
        try:
            string(key)
        except ValueError:
            errors += _below(key, [FieldError("", f"the key {describe(key)}", "a UTF-8 string as the key")])
        if len(errors) >= MAX_FAULTS:
            break
    if errors:
        raise Faults(errors[:MAX_FAULTS])


def _checked(items: Iterable[tuple[Any, Any]], shape: Shape, json: Form) -> list[tuple[Any, Any]]:
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


def _union(branches: Branches, made: Sequence[Shape]) -> Shape:
    if branches.tagged:
        return _tagged_union(branches, made)
    if len(made) == 2 and branches.names[0] == "null":
        inner = made[1]

        def optional(value: Any, json: Form) -> Any:
            if value is None:
                return None
            if (tag := _tag(branches, value, json)) is not None:
                return _below_tag(made[branches.by_tag[tag]], value, tag, json)
            try:
                return inner(value, json)
            except Faults as faults:
                raise _of_branches(value, [faults], ["null"]) from None

        return optional

    def union(value: Any, json: Form) -> Any:
        if (tag := _tag(branches, value, json)) is not None:
            return _below_tag(made[branches.by_tag[tag]], value, tag, json)
        refused = []
        for branch in made:
            try:
                return branch(value, json)
            except Faults as faults:
                refused.append(faults)
        raise _of_branches(value, refused, [])

    return union


def _tag(branches: Branches, value: Any, json: Form) -> str | None:
    """A decoded map is plain, whatever its keys are; JSON's is tagged where it would look like a tag."""
    return None if json == "default" else branches.tag_to_follow(value, maps_are_plain=not json)


def _tagged_union(branches: Branches, made: Sequence[Shape]) -> Shape:
    """Values of branches that look alike: in and out with their branch's name, but null."""
    tags = " or ".join(f'{{"{name}": …}}' for name in branches.names if name != "null")
    others = ["null"] if "null" in branches.names else []

    def named(at: int, value: Any) -> Any:
        return None if branches.names[at] == "null" else {branches.names[at]: value}

    def tagged(value: Any, json: Form) -> Any:
        if value is None and others:
            return None
        if json != "default" and (tag := branches.tag_in(value)) is not None:
            at = branches.by_tag[tag]
            return named(at, _below_tag(made[at], value, tag, json))
        candidates = branches.candidates(value)
        if json != "default" and isinstance(value, Mapping) and len(candidates) > 1:
            raise refuse(value, f"its branch's name around it: {tags}")
        taken: dict[int, Any] = {}
        refused = []
        for at in candidates:
            try:
                taken[at] = made[at](value, json)
            except Faults as faults:
                refused.append(faults)
        if type(value) is int and json != "default":
            taken = {at: found for at, found in taken.items() if branches.is_whole(at)} or taken
        if len(taken) > 1 and json != "default":
            raise refuse(value, f"its branch's name around it: {tags}")
        for at, found in taken.items():
            return named(at, found)
        raise _of_branches(value, refused, others) if refused else refuse(value, " or ".join([tags, *others]))

    return tagged


def _below_tag(shape: Shape, value: Mapping[str, Any], tag: str, json: Form) -> Any:
    try:
        return shape(value[tag], json)
    except Faults as faults:
        raise Faults(_below(tag, faults.errors)) from None


def _of_branches(value: object, refused: Sequence[Faults], others: Sequence[str]) -> Faults:
    """The faults of the one branch that looked inside the value, or one fault that names every branch."""
    inside = [faults for faults in refused if any(error.path for error in faults.errors)]
    if len(inside) == 1:
        return inside[0]
    expected = " or ".join([*(faults.errors[0].expected for faults in refused), *others])
    # The words of the one branch that has some.
    found = {faults.errors[0].found for faults in refused} - {describe(value)}
    return Faults([FieldError("", found.pop() if len(found) == 1 else describe(value), expected)])
