"""Decoded values as JSON can hold them, by the table of types: dates, times and decimals as text."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from atlas_avro.meaning import Meaning
from atlas_avro.primitives import same
from atlas_avro.table import meaning
from atlas_avro.walk import fold

Render = Callable[[Any], Any]


def compile_render(definition: Any, names: dict[str, Render]) -> Render:
    """The function from a decoded value to JSON's form of it, for a definition that fastavro has parsed.

    `names` holds the named types met so far and takes those of this definition. What has no text (a timestamp beyond
    the years 1 to 9999) stays a number.
    """
    return fold(definition, _Maker(), names)


class _Maker:
    """A part that needs no rendering is `same`, and is left as it is."""

    def __init__(self) -> None:
        self._held: dict[str, type] = {}

    def leaf(self, definition: Any, meaning: Meaning) -> Render:
        if isinstance(definition, Mapping) and "name" in definition:
            self._held[definition["name"]] = meaning.held
        return meaning.render

    def enum(self, _definition: Mapping[str, Any]) -> Render:
        return same

    def record(self, definition: Mapping[str, Any]) -> tuple[Render, Callable[[Sequence[Render]], None]]:
        changed: list[tuple[str, Render]] = []

        def record(value: Any) -> dict[str, Any]:
            result = dict(value)
            for name, render in changed:
                result[name] = render(result[name])
            return result

        def fill(renders: Sequence[Render]) -> None:
            named = zip(definition["fields"], renders, strict=True)
            changed.extend((field["name"], render) for field, render in named if render is not same)

        return record, fill

    def array(self, _definition: Mapping[str, Any], items: Render) -> Render:
        return same if items is same else lambda value: [items(part) for part in value]

    def map(self, _definition: Mapping[str, Any], values: Render) -> Render:
        return same if values is same else lambda value: {key: values(part) for key, part in value.items()}

    def union(self, branches: Sequence[Any], made: Sequence[Render]) -> Render:
        """By the Python type of the value: `atlas schemas check` allows one branch for each kind of JSON value."""
        by_type: dict[type, Render] = {}
        for branch, render in zip(branches, made, strict=True):
            if render is not same:
                by_type.setdefault(self._type(branch), render)
        if not by_type:
            return same
        return lambda value: by_type.get(type(value), same)(value)

    def _type(self, branch: Any) -> type:
        """The Python type of a branch's values; what is rendered and no leaf is a list, an object or a record."""
        if isinstance(branch, str) and branch in self._held:
            return self._held[branch]
        found = meaning(branch)
        if found is not None:
            return found.held
        return list if isinstance(branch, Mapping) and branch["type"] == "array" else dict
