"""Which part of a new schema reads which part of an old one: Avro's rules of resolution, without the reading.

The check of versions and the reader of old events both ask here, so that what the check accepts is what can be read.
Where the specification leaves a choice, Avro's own library makes it: a writer's field goes to the reader's field that
names it as an alias before the one of its name; a value goes to the branch of its type before one that it is promoted
to. But a type goes to the branch of its whole name, if there is one, whatever aliases the others have.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from atlas_avro.names import NAMED, parse
from atlas_avro.walk import parts

PROMOTIONS: Mapping[str, frozenset[str]] = {
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
    "string": frozenset({"bytes"}),  # not the other way, which Avro allows: bytes that are no UTF-8 could not be read
}

Found = TypeVar("Found")


class Comparison(ABC, Generic[Found]):
    """Two schemas and their named types; remembers the pairs it is in, as a record may hold itself."""

    def __init__(self) -> None:
        self._reader_names: dict[str, Any] = {}
        self._writer_names: dict[str, Any] = {}
        self._seen: set[tuple[str, str]] = set()

    def found(self, reader: Any, writer: Any) -> list[Found]:
        """What there is to say of the two, both as in the .avsc."""
        return list(self.compare(parse(reader, self._reader_names), parse(writer, self._writer_names), ""))

    @abstractmethod
    def compare(self, reader: Any, writer: Any, path: str) -> Iterator[Found]:
        """What there is to say of two parts of them, at this path."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of two records. `of_written`: the reader's field for each of the writer's that is not passed over.

    `new`: fields of the reader that no old record has. `named`: for each field of the reader, by its name, the writer's
    that have its name or are an alias of it.
    """

    of_written: Mapping[str, Mapping[str, Any]]
    new: Sequence[Mapping[str, Any]]
    named: Mapping[str, Sequence[Mapping[str, Any]]]


def kind_of(definition: Any) -> str:
    """The type's name of a definition that is no union and no reference; an error is a record."""
    kind = definition if isinstance(definition, str) else str(definition["type"])
    return "record" if kind == "error" else kind


def named_types(definition: Any) -> dict[str, Any]:
    """Every named type of a definition with full names, by its own."""
    return {part["name"]: part for part in parts(definition) if isinstance(part, Mapping) and part["type"] in NAMED}


def defined(definition: Any, names: Mapping[str, Any]) -> Any:
    """A union as a list, a named type as its definition, a primitive as its name."""
    if isinstance(definition, str):
        return names.get(definition, definition)
    if isinstance(definition, Mapping) and definition["type"] not in (*NAMED, "array", "map"):
        return defined(definition["type"], names)
    return definition


def aliases(definition: Mapping[str, Any]) -> list[str]:
    """The names that a named type once had, as full names."""
    namespace = definition["name"].rpartition(".")[0]
    return [
        alias if "." in alias or not namespace else f"{namespace}.{alias}" for alias in definition.get("aliases", ())
    ]


def same_name(reader: Mapping[str, Any], writer: Mapping[str, Any]) -> bool:
    """Whether two named types are one: by the name without its namespace, or by an alias of the reader's."""
    return _simple(reader["name"]) == _simple(writer["name"]) or writer["name"] in aliases(reader)


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
        named={
            field["name"]: [written for written in writer["fields"] if written["name"] in _names(field)]
            for field in reader["fields"]
        },
    )


def branch_for(branches: Sequence[Any], writer: Any, names: Mapping[str, Any]) -> Any | None:
    """The branch of a reader's union that reads what `writer`, no union, wrote; None when there is none."""
    known = [(branch, defined(branch, names)) for branch in branches]
    kind = kind_of(writer)
    alike = [(branch, definition) for branch, definition in known if kind_of(definition) == kind]
    if kind in NAMED:
        alike = [(branch, definition) for branch, definition in alike if same_name(definition, writer)]
        alike.sort(key=lambda found: _nearness(found[1], writer))
    if alike:
        return alike[0][0]
    return next((branch for branch, definition in known if kind_of(definition) in PROMOTIONS.get(kind, ())), None)


def _names(field: Mapping[str, Any]) -> tuple[str, ...]:
    return (field["name"], *field.get("aliases", ()))


def _nearness(reader: Mapping[str, Any], writer: Mapping[str, Any]) -> int:
    """How near two types of one name are: by the whole name, by an alias, by the name's end."""
    if reader["name"] == writer["name"]:
        return 0
    return 1 if writer["name"] in aliases(reader) else 2


def _simple(name: str) -> str:
    return name.rpartition(".")[2]
