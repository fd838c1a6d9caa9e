"""The one walk over a schema: how types nest, and refer to each other by name.

What a place makes of each kind of type is its Maker. Definitions are as fastavro parses them, with full names.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from atlas_avro.meaning import Meaning
from atlas_avro.table import logical, meaning

T = TypeVar("T")


class Maker(Protocol[T]):
    """What is made of each kind of type; of what a type is made of comes ready."""

    def leaf(self, definition: Any, meaning: Meaning) -> T:
        """A primitive or logical type, or a fixed."""

    def enum(self, definition: Mapping[str, Any]) -> T: ...

    def record(self, definition: Mapping[str, Any]) -> tuple[T, Callable[[Sequence[T]], None]]:
        """What is made of a record, and what takes its fields' types, in order: a record may hold itself."""

    def array(self, definition: Mapping[str, Any], items: T) -> T: ...

    def map(self, definition: Mapping[str, Any], values: T) -> T: ...

    def union(self, branches: Sequence[Any], made: Sequence[T]) -> T: ...


def fold(definition: Any, maker: Maker[T], names: dict[str, T] | None = None) -> T:
    """What `maker` makes of a definition.

    `names` holds what was made of the named types met so far and takes those of this definition.
    """
    known: dict[str, T] = {} if names is None else names

    def of(part: Any) -> T:  # noqa: PLR0911 - one a kind of type
        if isinstance(part, list):
            return maker.union(part, [of(branch) for branch in part])
        if isinstance(part, str) and part in known:
            return known[part]
        kind = part if isinstance(part, str) else part["type"]
        if kind == "array":
            return maker.array(part, of(part["items"]))
        if kind == "map":
            return maker.map(part, of(part["values"]))
        if kind in ("record", "error"):
            made, fill = maker.record(part)
            known[part["name"]] = made
            fill([of(field["type"]) for field in part["fields"]])
            return made
        if kind == "enum":
            known[part["name"]] = maker.enum(part)
            return known[part["name"]]
        found = meaning(part) if isinstance(kind, str) else None
        if found is None:
            return of(kind)  # {"type": {…}}, {"type": "a.Name"}
        made = maker.leaf(part, found)
        if kind == "fixed":
            known[part["name"]] = made
        return made

    return of(definition)


def parts(definition: Any) -> Iterator[Any]:
    """A definition and every one inside it, each where it is written out: a reference is a name."""
    yield definition
    if isinstance(definition, list):
        for branch in definition:
            yield from parts(branch)
    elif isinstance(definition, Mapping):
        for field in definition.get("fields", ()):
            yield from parts(field["type"])
        for within in ("type", "items", "values"):
            if within in definition and (within != "type" or not isinstance(definition["type"], str)):
                yield from parts(definition[within])


def without_logical_types(definition: Any, *, but_known: bool = False) -> Any:
    """The same definition, each logical type taken off; `but_known`: each that means nothing there."""
    if isinstance(definition, dict):
        keep = but_known and logical(definition) is not None
        return {
            key: part if key == "default" else without_logical_types(part, but_known=but_known)
            for key, part in definition.items()
            if key != "logicalType" or keep
        }
    if isinstance(definition, list):
        return [without_logical_types(part, but_known=but_known) for part in definition]
    return definition
