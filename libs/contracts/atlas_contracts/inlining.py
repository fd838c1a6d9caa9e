"""Types that stand elsewhere, written into the schema that names them: the first time in full, then by name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from atlas_avro.names import NAMED, NotASchema, full_name, own_name
from atlas_avro.primitives import PRIMITIVES

from atlas_contracts.forms import NESTING_MAX


@dataclass(slots=True)
class Inlined:
    """`definition` with all that it names; the very same object when it names nothing from elsewhere.

    `used`: full names of the types from elsewhere, in the order in which they are met. `circles`: types from elsewhere
    that hold each other, by their names, each way round that was met.
    """

    definition: Any
    used: list[str] = field(default_factory=list)
    circles: list[tuple[str, ...]] = field(default_factory=list)


def inline(definition: Any, elsewhere: Mapping[str, Any]) -> Inlined:
    """Write the types of `elsewhere` (full name → definition as in an .avsc, seen from no namespace) into a definition.

    A type that the definition has itself goes before one from elsewhere. A name that is nowhere is left as it is.
    Raises NotASchema where types nest too deep.
    """
    walk = _Walk(elsewhere)
    if isinstance(definition, Mapping) and "name" in definition and own_name(definition, "") in elsewhere:
        walk.within = (own_name(definition, ""),)  # it is one of them itself
    made = walk.file(definition, "")
    walk.done.definition = made if walk.done.used else definition
    return walk.done


class _Walk:
    def __init__(self, elsewhere: Mapping[str, Any]) -> None:
        self.done = Inlined(None)
        self._elsewhere = elsewhere
        self._met: set[str] = set()
        # The types from elsewhere around the place, and what the innermost file defines itself.
        self.within: tuple[str, ...] = ()
        self._own: frozenset[str] = frozenset()
        self._depth = 0

    def file(self, definition: Any, namespace: str) -> Any:
        """A definition with names of its own, which go before those from elsewhere."""
        before, self._own = self._own, frozenset(_defined(definition, ""))
        made = self._type(definition, namespace, "")
        self._own = before
        return made

    def _type(self, definition: Any, namespace: str, path: str) -> Any:
        if isinstance(definition, str):
            return self._reference(definition, namespace, definition, path)
        if isinstance(definition, list):
            return [self._type(branch, namespace, path) for branch in definition]
        if not isinstance(definition, Mapping):
            return definition
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise NotASchema(f"{path}: nested deeper than {NESTING_MAX}")
        made = self._object(definition, namespace, path)
        self._depth -= 1
        return made

    def _object(self, definition: Mapping[str, Any], namespace: str, path: str) -> Any:
        kind = definition.get("type")
        if kind in NAMED and "name" in definition:
            full = own_name(definition, namespace)
            self._met.add(full)
            if not isinstance(definition.get("fields"), list):
                return definition
            inside = full.rpartition(".")[0]
            fields = [
                {**each, "type": self._type(each.get("type"), inside, f"{path}/{each.get('name')}")}
                for each in definition["fields"]
            ]
            return {**definition, "fields": fields}
        if kind in ("array", "map"):
            part = "items" if kind == "array" else "values"
            return {**definition, part: self._type(definition.get(part), namespace, f"{path}/{part}")}
        return self._reference(kind, namespace, definition, path) if isinstance(kind, str) else definition

    def _reference(self, name: str, namespace: str, as_it_is: Any, path: str) -> Any:
        """What stands for a name, or for an object that has it as its type."""
        if name in PRIMITIVES:
            return as_it_is
        for full in (full_name(name, namespace), name):
            if full in self._own or full in self._met:
                if full in self.within and full not in self._own:
                    self.done.circles.append((*self.within[self.within.index(full) :], full))
                return as_it_is
            if full in self._elsewhere:
                return self._written_out(full, namespace, path)
        return as_it_is

    def _written_out(self, full: str, namespace: str, path: str) -> Any:
        self.done.used.append(full)
        definition = {key: part for key, part in self._elsewhere[full].items() if key != "namespace"}
        definition["name"] = full
        if namespace and "." not in full:
            definition["namespace"] = ""
        before, self.within = self.within, (*self.within, full)
        made = self.file(definition, namespace)
        self.within = before
        return made


def _defined(definition: Any, namespace: str) -> Iterator[str]:
    """The full name of each type that a definition has written out."""
    if isinstance(definition, list):
        for branch in definition:
            yield from _defined(branch, namespace)
    elif isinstance(definition, Mapping):
        inside = namespace
        if definition.get("type") in NAMED and "name" in definition:
            yield (full := own_name(definition, namespace))
            inside = full.rpartition(".")[0]
        fields = definition.get("fields")
        for each in fields if isinstance(fields, list) else ():
            yield from _defined(each.get("type"), inside)
        for part in ("items", "values"):
            yield from _defined(definition.get(part), inside)
