"""Where the key of an event's record comes from: a field, one within it, the first of several, or whoever posts it.

`booking_id` is a field; `after.id` one of a record within; `after.id | before.id` the first of these that is not null,
as in an envelope whose `after` is null when the row was deleted. `key: null` in topics.yaml says that the value does
not hold it: then each post gives it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from atlas_avro.table import logical, meaning

from atlas_contracts.evolution.resolution import named_types

# The key is given with the record.
GIVEN = ""
Path = tuple[str, ...]
# From a value and its framed bytes to the key of its record.
FindKey = Callable[[Mapping[str, Any], bytes], bytes]

# Numbers that are no whole ones have several texts; bytes have none.
_NO_KEYS = {"float", "double", "bytes", "fixed", "null"}
_PLAIN = {"string", "int", "long"}


class NoKey(ValueError):
    """The event has no key: `path` (a JSON pointer) is null."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is null")
        self.path = path


def paths_of(rule: str) -> tuple[Path, ...]:
    """The paths of a rule, in order. Raises ValueError for what is none."""
    paths = tuple(tuple(part.strip().split(".")) for part in rule.split("|"))
    if any(not name or name != name.strip() for path in paths for name in path):
        raise ValueError(f"the key {rule!r} is not a field, like booking_id, after.id or `after.id | before.id`")
    return paths


def is_plain(rule: str, definition: Any) -> bool:
    """Whether the key is a field that is text or a whole number and nothing more, which can't be left out: so the
    value as it was posted says it.
    """
    ((name, *within), *others) = paths_of(rule)
    if within or others:
        return False
    types = {field["name"]: field["type"] for field in definition["fields"] if "default" not in field}
    kind = types.get(name)
    bare = kind["type"] if isinstance(kind, Mapping) else kind
    return isinstance(bare, str) and bare in _PLAIN and logical(kind) is None


def faults(rule: str, definition: Any) -> list[str]:
    """Why this can't be the key of a parsed schema's events; nothing when it can."""
    named = named_types(definition)
    found = []
    for path in paths_of(rule):
        reason = _fault(path, definition, named)
        if reason is not None:
            found.append(reason)
    return found


def _fault(path: Path, definition: Any, named: Mapping[str, Any]) -> str | None:
    kind: Any = definition
    for at, name in enumerate(path):
        kind = _without_null(kind, named)
        where = ".".join(path[: at + 1])
        if not isinstance(kind, Mapping) or kind.get("type") not in ("record", "error"):
            return f"has no field {where}, which is to be its key: {'.'.join(path[:at])} is no record"
        fields = {field["name"]: field["type"] for field in kind["fields"]}
        if name not in fields:
            return f"has no field {where}, which is to be its key"
        kind = fields[name]
    kind = _without_null(kind, named)
    if isinstance(kind, Mapping) and kind.get("type") == "enum":
        return None
    leaf = None if isinstance(kind, list) else meaning(kind)
    if leaf is None or leaf.name in _NO_KEYS:
        return f"can't have {'.'.join(path)} as its key, which has not one text for each value"
    return None


def _without_null(kind: Any, named: Mapping[str, Any]) -> Any:
    """The one type beside null that it is, with its name resolved."""
    if isinstance(kind, list):
        others = [branch for branch in kind if branch != "null"]
        kind = others[0] if len(others) == 1 else kind
    return named.get(kind, kind) if isinstance(kind, str) else kind


def text_of(rule: str, value: Mapping[str, Any]) -> bytes:
    """The key of a value in the form that JSON has of it. Raises NoKey when it is null at each path."""
    paths = paths_of(rule)
    for path in paths:
        found: Any = value
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        if found is not None:
            return ("true" if found is True else "false" if found is False else str(found)).encode()
    raise NoKey("/" + "/".join(paths[0]))


def last_names(rule: str) -> Sequence[str]:
    """The name of the field that each path ends with."""
    return [path[-1] for path in paths_of(rule)]
