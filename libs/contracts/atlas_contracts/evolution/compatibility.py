"""Can a reader with the new schema read what an old one wrote? Avro's resolution rules, with the reason and the path.

BACKWARD_TRANSITIVE means: yes, for every older version.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from atlas_avro.meaning import Meaning
from atlas_avro.names import NAMED
from atlas_avro.table import logical, meaning

from atlas_contracts.evolution import resolution
from atlas_contracts.evolution.resolution import PROMOTIONS, branch_for, defined, kind_of, same_name


@dataclass(frozen=True, slots=True)
class Incompatibility:
    """One reason: `path` leads through the fields of the new schema (JSON pointer; "" is the whole)."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path or 'the record'}: {self.reason}"


def incompatibilities(reader: Mapping[str, Any], writer: Mapping[str, Any]) -> list[Incompatibility]:
    """Why values written with `writer` can't all be read with `reader` (both as in the .avsc); empty when they can."""
    return _Resolution().found(reader, writer)


class _Resolution(resolution.Comparison[Incompatibility]):
    def compare(self, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        was, now = _meaning(writer), _meaning(reader)
        reader, writer = defined(reader, self._reader_names), defined(writer, self._writer_names)
        yield from _other_values(path, was or _meaning(writer), now or _meaning(reader))
        if isinstance(writer, list):
            for branch in writer:
                yield from self._compare_written_branch(reader, branch, path)
        elif isinstance(reader, list):
            yield from self._compare_to_union(reader, writer, path)
        elif kind_of(reader) != kind_of(writer):
            if kind_of(reader) not in PROMOTIONS.get(kind_of(writer), ()):
                yield Incompatibility(path, f"{_title(writer)} was written, and {_title(reader)} can't read it")
        elif kind_of(reader) in NAMED:
            yield from self._compare_named(reader, writer, path)
        elif kind_of(reader) == "array":
            yield from self.compare(reader["items"], writer["items"], f"{path}/items")
        elif kind_of(reader) == "map":
            yield from self.compare(reader["values"], writer["values"], f"{path}/values")

    def _compare_written_branch(self, reader: Any, branch: Any, path: str) -> Iterator[Incompatibility]:
        title = _title(defined(branch, self._writer_names))
        for found in self.compare(reader, branch, path):
            yield (
                found
                if isinstance(reader, list)
                else Incompatibility(found.path, f"{found.reason} (where the old union held {title})")
            )

    def _compare_to_union(self, branches: list[Any], writer: Any, path: str) -> Iterator[Incompatibility]:
        branch = branch_for(branches, writer, self._reader_names)
        if branch is None:
            yield Incompatibility(path, f"{_title(writer)} was written, and no branch of {_title(branches)} reads it")
        else:
            yield from self.compare(branch, writer, path)

    def _compare_named(self, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        if not same_name(reader, writer):
            yield Incompatibility(path, f"{writer['name']} was written; it is now {reader['name']}, with no such alias")
            return
        pair = (reader["name"], writer["name"])
        if pair in self._seen:
            return
        self._seen.add(pair)
        if kind_of(reader) == "enum":
            lost = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
            if lost and reader.get("default") not in reader["symbols"]:
                yield Incompatibility(path, f"the enum lost {', '.join(lost)} and has no default to read them as")
        elif kind_of(reader) == "fixed":
            if reader["size"] != writer["size"]:
                yield Incompatibility(path, f"the size was {writer['size']} and is now {reader['size']}")
        else:
            yield from self._compare_fields(reader, writer, path)

    def _compare_fields(self, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        found = resolution.fields(reader, writer)
        for field in reader["fields"]:
            # Also of those that another field reads by its alias: not every reader of Avro heeds aliases.
            named = found.named[field["name"]]
            if len(named) > 1:
                reason = "two fields of older events have its name and its alias"
                yield Incompatibility(f"{path}/{field['name']}", reason)
            for written in named[:1]:
                yield from self.compare(field["type"], written["type"], f"{path}/{field['name']}")
        for field in found.new:
            if "default" not in field:
                reason = "the field is new and has no default, so older events have no value for it"
                yield Incompatibility(f"{path}/{field['name']}", reason)


def _meaning(definition: Any) -> Meaning | None:
    return None if logical(definition) is None else meaning(definition)


def _other_values(path: str, was: Meaning | None, now: Meaning | None) -> Iterator[Incompatibility]:
    """Two logical types must be one. It may be put on a base or taken off: what a base held is read as it is."""
    if was is None or now is None:
        return
    if was.name != now.name:
        reason = f"the logical type was {was.name} and is now {now.name}: other values for the same bytes"
        yield Incompatibility(path, reason)
    elif was.column != now.column:  # the column of a decimal has its precision and scale
        yield Incompatibility(path, f"the {was.name} was {was.column} and is now {now.column}: Avro asks for the same")


def _title(definition: Any) -> str:
    if isinstance(definition, list):
        return f"[{', '.join(_title(branch) for branch in definition)}]"
    return str(definition["name"]) if isinstance(definition, Mapping) and "name" in definition else kind_of(definition)
