"""Branches of a union: how each is called, which look alike in JSON, and which an untagged value could be of.

A value of a union whose branches look alike is given out with its branch's name, as in Avro's JSON encoding:
`{"long": 5}`. It is taken so for any union.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atlas_avro.names import NAMED
from atlas_avro.table import base, meaning

_LOOKS = {"enum": "string", "array": "array", "map": "object", "record": "object", "error": "object"}


@dataclass(frozen=True, slots=True)
class Branches:
    """`tagged`: two of them look alike. `names`: of each branch, its tag. `by_tag`: the branch that a tag names; that
    may be a type's name without its namespace too, where only one is called so.
    """

    tagged: bool
    names: tuple[str, ...]
    by_tag: Mapping[str, int]
    _definitions: tuple[Any, ...]

    def tag_in(self, value: Any) -> str | None:
        """The tag of a tagged value; None for any other."""
        if isinstance(value, Mapping) and len(value) == 1:
            (tag,) = value
            return tag if isinstance(tag, str) and tag in self.by_tag else None
        return None

    def tag_to_follow(self, value: Any, *, maps_are_plain: bool) -> str | None:
        """The tag of a value of a union whose branches do not look alike, where it is to be taken for one. It is not
        where a record has that very member. This is decided before anything inside is looked at, and once.
        """
        tag = self.tag_in(value)
        if tag is not None:
            for at in self.candidates(value):
                if maps_are_plain or _kind(self._definitions[at]) != "map":
                    return None
        return tag

    def candidates(self, value: Any) -> list[int]:
        """The branches that an untagged value, not null, may be of. Nothing inside it is looked at: a value that nests
        would be looked at once for each branch at each level.
        """
        kinds = [_kind(definition) for definition in self._definitions]
        if isinstance(value, Mapping):
            return [
                at for at, kind in enumerate(kinds) if _LOOKS.get(kind) == "object" and self._has_members(at, value)
            ]
        if isinstance(value, list | tuple):
            return [at for at, kind in enumerate(kinds) if kind == "array"]
        return [at for at, kind in enumerate(kinds) if kind == "enum" or kind not in (*_LOOKS, "null")]

    def is_whole(self, at: int) -> bool:
        """Whether the branch is an int or a long, whatever it means."""
        return _kind(self._definitions[at]) in ("int", "long")

    def _has_members(self, at: int, value: Mapping[Any, Any]) -> bool:
        fields = self._definitions[at].get("fields")
        if fields is None:
            return True
        wanted = {field["name"] for field in fields if "default" not in field}
        return wanted <= value.keys() <= {field["name"] for field in fields}


def branches_of(union: Sequence[Any], named: Mapping[str, Any]) -> Branches:
    """The branches of a union; `named`: the definitions that it refers to by name."""
    definitions = tuple(_definition(branch, named) for branch in union)
    names = tuple(_name(definition) for definition in definitions)
    looks = [look for definition in definitions for look in _looks(definition)]
    simple = [name.rpartition(".")[2] for name in names]
    by_tag = {short: at for at, short in enumerate(simple) if simple.count(short) == 1}
    by_tag |= {name: at for at, name in enumerate(names)}
    return Branches(len(set(looks)) < len(looks), names, by_tag, definitions)


def _definition(branch: Any, named: Mapping[str, Any]) -> Any:
    if isinstance(branch, str):
        return named.get(branch, branch)
    kind = branch["type"]
    return branch if isinstance(kind, str) and kind not in named else _definition(kind, named)


def _kind(definition: Any) -> str:
    return definition if isinstance(definition, str) else str(definition["type"])


def _name(definition: Any) -> str:
    kind = _kind(definition)
    return str(definition["name"]) if kind in NAMED else kind


def _looks(definition: Any) -> set[str]:
    kind = _kind(definition)
    if kind in _LOOKS:
        return {_LOOKS[kind]}
    found = meaning(definition) or base(definition)
    return set(found.looks)
