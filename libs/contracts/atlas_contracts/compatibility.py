"""Can a reader with the new schema read what an old one wrote? Avro's resolution rules, with the reason and the path.

BACKWARD_TRANSITIVE means: yes, for every older version.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastavro.schema import parse_schema

_PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},  # not the other way, which Avro allows: bytes that are no UTF-8 could not be read
}
_NAMED = {"record", "enum", "fixed"}


@dataclass(frozen=True, slots=True)
class Incompatibility:
    """One reason: `path` leads through the fields of the new schema (JSON pointer; "" is the whole)."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path or 'the record'}: {self.reason}"


def incompatibilities(reader: Mapping[str, Any], writer: Mapping[str, Any]) -> list[Incompatibility]:
    """Why values written with `writer` can't all be read with `reader` (both as in the .avsc); empty when they can."""
    comparison = _Comparison(_named(reader), _named(writer))
    return list(comparison.compare(parse_schema(dict(reader)), parse_schema(dict(writer)), ""))


class _Comparison:
    """Two schemas and their named types; remembers the pairs it is in, as a record may hold itself."""

    def __init__(self, reader_names: Mapping[str, Any], writer_names: Mapping[str, Any]) -> None:
        self._reader_names = reader_names
        self._writer_names = writer_names
        self._seen: set[tuple[str, str]] = set()

    def compare(self, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        was, now = _logical_type(writer), _logical_type(reader)
        if was and now and was != now:
            yield Incompatibility(
                path, f"the logical type was {was} and is now {now}: other numbers for the same bytes"
            )
        reader, writer = _resolved(reader, self._reader_names), _resolved(writer, self._writer_names)
        if isinstance(writer, list):
            for branch in writer:
                yield from self._compare_written_branch(reader, branch, path)
        elif isinstance(reader, list):
            yield from self._compare_to_union(reader, writer, path)
        elif _kind(reader) != _kind(writer):
            if _kind(reader) not in _PROMOTIONS.get(_kind(writer), ()):
                yield Incompatibility(path, f"{_title(writer)} was written, and {_title(reader)} can't read it")
        elif _kind(reader) in _NAMED:
            yield from self._compare_named(reader, writer, path)
        elif _kind(reader) == "array":
            yield from self.compare(reader["items"], writer["items"], f"{path}/items")
        elif _kind(reader) == "map":
            yield from self.compare(reader["values"], writer["values"], f"{path}/values")

    def _compare_written_branch(self, reader: Any, branch: Any, path: str) -> Iterator[Incompatibility]:
        title = _title(_resolved(branch, self._writer_names))
        for found in self.compare(reader, branch, path):
            yield (
                found
                if isinstance(reader, list)
                else Incompatibility(found.path, f"{found.reason} (where the old union held {title})")
            )

    def _compare_to_union(self, branches: list[Any], writer: Any, path: str) -> Iterator[Incompatibility]:
        seen = set(self._seen)
        reasons: list[list[Incompatibility]] = []
        for branch in branches:
            reasons.append(list(self.compare(branch, writer, path)))
            if not reasons[-1]:
                return
            self._seen = set(seen)  # what was met on a way that led nowhere counts for nothing
        inside = [found for found in reasons if any(reason.path != path for reason in found)]
        if len(inside) == 1:
            yield from inside[0]
        else:
            yield Incompatibility(path, f"{_title(writer)} was written, and no branch of {_title(branches)} reads it")

    def _compare_named(self, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        if not _same_name(reader, writer):
            yield Incompatibility(path, f"{writer['name']} was written; it is now {reader['name']}, with no such alias")
            return
        pair = (reader["name"], writer["name"])
        if pair in self._seen:
            return
        self._seen.add(pair)
        if _kind(reader) == "enum":
            lost = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
            if lost and "default" not in reader:
                yield Incompatibility(path, f"the enum lost {', '.join(lost)} and has no default to read them as")
        elif _kind(reader) == "fixed":
            if reader["size"] != writer["size"]:
                yield Incompatibility(path, f"the size was {writer['size']} and is now {reader['size']}")
        else:
            yield from self._compare_fields(reader, writer, path)

    def _compare_fields(self, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            here = f"{path}/{field['name']}"
            names = [field["name"], *field.get("aliases", ())]
            old = next((written[name] for name in names if name in written), None)
            if old is not None:
                yield from self.compare(field["type"], old["type"], here)
            elif "default" not in field:
                yield Incompatibility(here, "the field is new and has no default, so older events have no value for it")


def _named(definition: Mapping[str, Any]) -> dict[str, Any]:
    names: dict[str, Any] = {}
    parse_schema(dict(definition), names)
    return names


def _resolved(definition: Any, names: Mapping[str, Any]) -> Any:
    """A union as a list, a named type as its definition, a primitive as its name."""
    if isinstance(definition, str):
        return names.get(definition, definition)
    if isinstance(definition, Mapping) and definition["type"] not in {*_NAMED, "array", "map"}:
        return _resolved(definition["type"], names)
    return definition


def _logical_type(definition: Any) -> str | None:
    return definition.get("logicalType") if isinstance(definition, Mapping) else None


def _kind(definition: Any) -> str:
    return definition if isinstance(definition, str) else str(definition["type"])


def _title(definition: Any) -> str:
    if isinstance(definition, list):
        return f"[{', '.join(_title(branch) for branch in definition)}]"
    return str(definition["name"]) if isinstance(definition, Mapping) and "name" in definition else _kind(definition)


def _same_name(reader: Mapping[str, Any], writer: Mapping[str, Any]) -> bool:
    namespace = reader["name"].rpartition(".")[0]
    aliases = [
        alias if "." in alias or not namespace else f"{namespace}.{alias}" for alias in reader.get("aliases", ())
    ]
    return writer["name"] in {reader["name"], *aliases}
