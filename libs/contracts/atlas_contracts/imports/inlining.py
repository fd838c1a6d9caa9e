"""Types that stand elsewhere, written into the schema that names them: the first time in full, then by name.

Elsewhere is also further on in the same schema, which Avro's Java library takes and its specification does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from atlas_avro.names import NAMED, NotASchema, definitions, full_name, own_name
from atlas_avro.primitives import PRIMITIVES

from atlas_contracts.forms import NESTING_MAX


@dataclass(slots=True)
class Inlined:
    """`definition` with all that it names; the very same object when each of these is before its name already.

    `used`: full names of the types from elsewhere, in the order in which they are met. `circles`: types from elsewhere
    that hold each other, by their names, each way round that was met.
    """

    definition: Any
    used: list[str] = field(default_factory=list)
    circles: list[tuple[str, ...]] = field(default_factory=list)


def inline(definition: Any, elsewhere: Mapping[str, Any]) -> Inlined:
    """Write the types of `elsewhere` (full name → definition as in an .avsc, seen from no namespace) into a definition.

    A type that the definition has itself goes before one from elsewhere, and is moved to where it is met first. A name
    that is nowhere is left as it is.
    Raises NotASchema where types nest too deep.
    """
    walk = _Walk(elsewhere)
    if isinstance(definition, Mapping) and "name" in definition and own_name(definition, "") in elsewhere:
        walk.within = (own_name(definition, ""),)  # it is one of them itself
    made = walk.file(definition, "")
    walk.done.definition = made if walk.done.used or walk.moved else definition
    return walk.done


class _Walk:
    def __init__(self, elsewhere: Mapping[str, Any]) -> None:
        self.done = Inlined(None)
        self._elsewhere = elsewhere
        self._met: set[str] = set()
        # The types from elsewhere around the place, and what the innermost file defines itself.
        self.within: tuple[str, ...] = ()
        self._own: Mapping[str, tuple[Mapping[str, Any], str]] = {}
        # The definitions, by identity, that stand where they are met first and not where they stood.
        self.moved: set[int] = set()
        self._depth = 0

    def file(self, definition: Any, namespace: str) -> Any:
        """A definition with names of its own, which go before those from elsewhere."""
        before, self._own = self._own, definitions(definition)
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
        if self._depth > NESTING_MAX + 1:  # the schema itself is not in another
            raise NotASchema(f"{path}: nested deeper than {NESTING_MAX}")
        made = self._object(definition, namespace, path)
        self._depth -= 1
        return made

    def _object(self, definition: Mapping[str, Any], namespace: str, path: str) -> Any:
        kind = definition.get("type")
        if kind in NAMED and "name" in definition:
            full = own_name(definition, namespace)
            if id(definition) in self.moved:
                return full
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
            if full in self._own and full not in self._met:
                moved, around = self._own[full]
                made = self._type(moved, around, path)
                self.moved.add(id(moved))
                return self._named(made, full, namespace)
            if full in self._met:
                if full in self.within and full not in self._own:
                    self.done.circles.append((*self.within[self.within.index(full) :], full))
                return as_it_is
            if full in self._elsewhere:
                return self._written_out(full, namespace, path)
        return as_it_is

    def _written_out(self, full: str, namespace: str, path: str) -> Any:
        self.done.used.append(full)
        definition = self._named(self._elsewhere[full], full, namespace)
        before, self.within = self.within, (*self.within, full)
        made = self.file(definition, namespace)
        self.within = before
        return made

    @staticmethod
    def _named(definition: Mapping[str, Any], full: str, namespace: str) -> dict[str, Any]:
        """The definition of a type, to stand within a namespace."""
        made = {**definition, "name": full}
        made.pop("namespace", None)
        return made | {"namespace": ""} if namespace and "." not in full else made
