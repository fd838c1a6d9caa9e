"""Avro definitions as JSON schemas: what the value of a posted event may be, by the table of types."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from atlas_avro.meaning import Meaning
from atlas_avro.walk import fold
from atlas_contracts.evolution.resolution import named_types
from atlas_contracts.values.unions import branches_of
from atlas_http.routes import Part, ref

_TAGGED = "The value below its type's name; without it where one type alone takes it."


def components(event_type: str, definition: Any) -> dict[str, Part]:
    """The schemas of an event by their names in the document: its own, and one for each record within it.

    `definition` is as fastavro has parsed it. A record within is a schema of its own, so one may hold itself.
    """
    maker = _Maker(event_type, definition["name"], named_types(definition))
    fold(definition, maker)
    return maker.made


class _Maker:
    def __init__(self, event_type: str, own_name: str, named: Mapping[str, Any]) -> None:
        self._event_type = event_type
        self._own_name = own_name
        self._named = named
        self.made: dict[str, Part] = {}
        # By identity: what is not a reference and has a union inside.
        self._with_unions: dict[int, Part] = {}

    def leaf(self, _definition: Any, meaning: Meaning) -> Part:
        if meaning.openapi_number is None:
            return dict(meaning.openapi)
        forms = [dict(meaning.openapi), dict(meaning.openapi_number)]
        return {"anyOf": forms, "description": meaning.expected_json}

    def enum(self, definition: Mapping[str, Any]) -> Part:
        return {"type": "string", "enum": list(definition["symbols"])}

    def record(self, definition: Mapping[str, Any]) -> tuple[Part, Callable[[Sequence[Part]], None]]:
        full = definition["name"]
        # Two events may each have a record of one name, and not the same one.
        name = self._event_type if full == self._own_name else f"{self._event_type}-{full}"
        properties: dict[str, Part] = {}
        self.made[name] = {
            "type": "object",
            "description": definition.get("doc", full),
            "required": [field["name"] for field in definition["fields"] if "default" not in field],
            "properties": properties,
            "additionalProperties": False,
        }

        def fill(shapes: Sequence[Part]) -> None:
            for field, shape in zip(definition["fields"], shapes, strict=True):
                properties[field["name"]] = {**shape, "description": field["doc"]} if "doc" in field else shape

        return ref(name), fill

    def array(self, _definition: Mapping[str, Any], items: Part) -> Part:
        return self._around(items, {"type": "array", "items": items})

    def map(self, _definition: Mapping[str, Any], values: Part) -> Part:
        return self._around(values, {"type": "object", "additionalProperties": values})

    def union(self, branches: Sequence[Any], made: Sequence[Part]) -> Part:
        """All that is taken: each branch plain and below its name, where it comes first if it is given out so."""
        told = branches_of(branches, self._named)
        shapes = [self._once(part) for part in made]
        tags = sorted(told.by_tag, key=lambda tag: (told.by_tag[tag], tag not in told.names))
        below = {tag: shapes[told.by_tag[tag]] for tag in tags if told.names[told.by_tag[tag]] != "null"}
        part: Part = {"anyOf": shapes}
        if below:
            tagged = {"type": "object", "minProperties": 1, "maxProperties": 1, "properties": below}
            tagged["additionalProperties"] = False
            part = {"anyOf": [tagged, *shapes], "description": _TAGGED} if told.tagged else {"anyOf": [*shapes, tagged]}
        self._with_unions[id(part)] = part
        return part

    def _around(self, inner: Part, part: Part) -> Part:
        if id(inner) in self._with_unions:
            self._with_unions[id(part)] = part
        return part

    def _once(self, part: Part) -> Part:
        """A branch is said twice: what has unions inside is a schema of its own, or it would double with each level."""
        if id(part) not in self._with_unions:
            return part
        name = f"{self._event_type}-{part['type']}-{len(self.made)}"
        self.made[name] = part
        return ref(name)
