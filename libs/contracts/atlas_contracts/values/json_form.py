"""Decoded values as JSON can hold them, by the table of types: dates, times and decimals as text."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from atlas_avro.meaning import Meaning
from atlas_avro.primitives import same
from atlas_avro.table import meaning
from atlas_avro.walk import fold

from atlas_contracts.evolution.resolution import named_types
from atlas_contracts.values.unions import Branches, branches_of

Render = Callable[[Any], Any]


def compile_render(definition: Any, names: dict[str, Render]) -> Render:
    """The function from a decoded value to JSON's form of it, for a definition that fastavro has parsed.

    `names` holds the named types met so far and takes those of this definition. What has no text (a timestamp beyond
    the years 1 to 9999) stays a number.
    """
    return fold(definition, _Maker(named_types(definition)), names)


class _Maker:
    """A part that needs no rendering is `same`, and is left as it is."""

    def __init__(self, named: Mapping[str, Any]) -> None:
        self._named = named
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
        """By the tag, or where the branches do not look alike, by the Python type of the value."""
        told = branches_of(branches, self._named)
        if told.tagged:
            return _tagged(dict(zip(told.names, made, strict=True)))
        by_type: dict[type, Render] = {}
        for branch, render in zip(branches, made, strict=True):
            if render is not same:
                by_type.setdefault(self._type(branch), render)
        plain: Render = (lambda value: by_type.get(type(value), same)(value)) if by_type else same
        return _marked(told, plain) if "map" in told.names else plain

    def _type(self, branch: Any) -> type:
        """The Python type of a branch's values; what is rendered and no leaf is a list, an object or a record."""
        if isinstance(branch, str) and branch in self._held:
            return self._held[branch]
        found = meaning(branch)
        if found is not None:
            return found.held
        return list if isinstance(branch, Mapping) and branch["type"] == "array" else dict


def _tagged(by_tag: Mapping[str, Render]) -> Render:
    if all(render is same for render in by_tag.values()):
        return same

    def tagged(value: Any) -> Any:
        if value is None:
            return None
        ((tag, inner),) = value.items()
        return {tag: by_tag[tag](inner)}

    return tagged


def _marked(branches: Branches, plain: Render) -> Render:
    """A map that looks like a tagged value is tagged itself."""

    def marked(value: Any) -> Any:
        shown = plain(value)
        return {"map": shown} if type(value) is dict and branches.tag_in(value) is not None else shown

    return marked
