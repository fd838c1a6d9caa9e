"""Which part of a new schema reads which part of an old one: Avro's rules of resolution, without the reading.

The check of versions and the reader of old events both ask here, so that what the check accepts is what can be read.
Where Avro's own library leaves a choice, the same one is made: a writer's field goes to the reader's field that names
it as an alias before the one of its name, a value goes to the branch of its type before one that it is promoted to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NAMED = ("record", "error", "enum", "fixed")
PROMOTIONS: Mapping[str, frozenset[str]] = {
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
    "string": frozenset({"bytes"}),  # not the other way, which Avro allows: bytes that are no UTF-8 could not be read
}


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of two records. `of_written`: the reader's field for each of the writer's that is not passed over.

    `new`: fields of the reader that no old record has. `doubled`: fields of the reader that two of the writer's go to.
    """

    of_written: Mapping[str, Mapping[str, Any]]
    new: Sequence[Mapping[str, Any]]
    doubled: Sequence[Mapping[str, Any]]


def kind_of(definition: Any) -> str:
    """The type's name of a definition that is no union and no reference."""
    return definition if isinstance(definition, str) else str(definition["type"])


def named_types(definition: Any) -> dict[str, Any]:
    """Every named type of a definition that fastavro has parsed, by its full name."""
    names: dict[str, Any] = {}
    if isinstance(definition, list):
        for branch in definition:
            names |= named_types(branch)
    elif isinstance(definition, dict):
        if definition["type"] in NAMED:
            names[definition["name"]] = definition
        for field in definition.get("fields", ()):
            names |= named_types(field["type"])
        for part in (definition["type"], definition.get("items"), definition.get("values")):
            names |= named_types(part)
    return names


def defined(definition: Any, names: Mapping[str, Any]) -> Any:
    """A union as a list, a named type as its definition, a primitive as its name."""
    if isinstance(definition, str):
        return names.get(definition, definition)
    if isinstance(definition, Mapping) and definition["type"] not in (*NAMED, "array", "map"):
        return defined(definition["type"], names)
    return definition


def same_name(reader: Mapping[str, Any], writer: Mapping[str, Any]) -> bool:
    """Whether two named types are one: by the name without its namespace, or by an alias of the reader's."""
    return _simple(reader["name"]) == _simple(writer["name"]) or writer["name"] in _aliases(reader)


def fields(reader: Mapping[str, Any], writer: Mapping[str, Any]) -> Fields:
    """How the fields of two records belong together."""
    by_name = {field["name"]: field for field in reader["fields"]}
    by_alias = {alias: field for field in reader["fields"] for alias in field.get("aliases", ())}
    of_written = {
        written["name"]: field
        for written in writer["fields"]
        if (field := by_alias.get(written["name"]) or by_name.get(written["name"])) is not None
    }
    taken = [field["name"] for field in of_written.values()]
    return Fields(
        of_written,
        new=[field for field in reader["fields"] if field["name"] not in taken],
        doubled=[field for field in reader["fields"] if taken.count(field["name"]) > 1],
    )


def branch_for(branches: Sequence[Any], writer: Any, names: Mapping[str, Any]) -> Any | None:
    """The branch of a reader's union that reads what `writer`, no union, wrote; None when there is none."""
    known = [(branch, defined(branch, names)) for branch in branches]
    kind = kind_of(writer)
    alike = [(branch, definition) for branch, definition in known if kind_of(definition) == kind]
    if kind in NAMED:
        alike = [(branch, definition) for branch, definition in alike if same_name(definition, writer)]
        alike.sort(key=lambda found: found[1]["name"] != writer["name"])  # stable: the whole name goes before its end
    if alike:
        return alike[0][0]
    return next((branch for branch, definition in known if kind_of(definition) in PROMOTIONS.get(kind, ())), None)


def _simple(name: str) -> str:
    return name.rpartition(".")[2]


def _aliases(definition: Mapping[str, Any]) -> list[str]:
    namespace = definition["name"].rpartition(".")[0]
    return [
        alias if "." in alias or not namespace else f"{namespace}.{alias}" for alias in definition.get("aliases", ())
    ]
