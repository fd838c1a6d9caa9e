"""Where a new version of a schema gives the values of a union out in another form of JSON than the version before.

A union whose branches do not look alike is plain, one whose branches do is tagged (unions.py): a branch more may change
it, for old events too, and for handlers. Nothing is unreadable for that, but who takes the JSON has to know.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from atlas_contracts.evolution import resolution
from atlas_contracts.evolution.resolution import branch_for, defined, kind_of
from atlas_contracts.values.unions import branches_of


@dataclass(frozen=True, slots=True)
class Change:
    """One field, by its path in the new schema (JSON pointer; `/items` and `/values` of arrays and maps)."""

    path: str
    tagged: bool
    tag: str

    def __str__(self) -> str:
        plain, tagged = "plain", f'with their type\'s name, as {{"{self.tag}": …}}'
        was, now = (plain, tagged) if self.tagged else (tagged, plain)
        return (
            f"{self.path}: its values were given out {was}, and are now {now}, in JSON and to handlers, old events too"
        )


def json_changes(newer: Any, older: Any) -> list[Change]:
    """The fields that change so from one version to a later one (both as in the .avsc, and compatible)."""
    return _Forms().found(newer, older)


class _Forms(resolution.Comparison[Change]):
    def compare(self, reader: Any, writer: Any, path: str) -> Iterator[Change]:
        new, old = defined(reader, self._reader_names), defined(writer, self._writer_names)
        now, was = _tags(new, self._reader_names), _tags(old, self._writer_names)
        if bool(now) is not bool(was):
            yield Change(path, bool(now), (now or was)[0])
        for each in old if isinstance(old, list) else [old]:
            written = defined(each, self._writer_names)
            read = branch_for(new, written, self._reader_names) if isinstance(new, list) else new
            if read is not None:
                yield from self._within(defined(read, self._reader_names), written, path)

    def _within(self, new: Any, old: Any, path: str) -> Iterator[Change]:
        kind = kind_of(new)
        if kind != kind_of(old):
            return
        if kind == "array":
            yield from self.compare(new["items"], old["items"], f"{path}/items")
        elif kind == "map":
            yield from self.compare(new["values"], old["values"], f"{path}/values")
        elif kind == "record" and (new["name"], old["name"]) not in self._seen:
            self._seen.add((new["name"], old["name"]))
            found = resolution.fields(new, old).of_written
            for field in old["fields"]:
                if field["name"] in found:
                    to = found[field["name"]]
                    yield from self.compare(to["type"], field["type"], f"{path}/{to['name']}")


def _tags(definition: Any, names: Mapping[str, Any]) -> list[str]:
    """The names that values of a union are given out with; none where they are plain."""
    if not isinstance(definition, list):
        return []
    told = branches_of(definition, names)
    return [name for name in told.names if name != "null"] if told.tagged else []
