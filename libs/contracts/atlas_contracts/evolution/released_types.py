"""Shared types that events were released with: their files stay as they are, as those of the events do."""

from collections.abc import Mapping
from dataclasses import dataclass

from atlas_contracts.folder import Locked
from atlas_contracts.shared_types import SharedTypes


@dataclass(frozen=True, slots=True)
class Changed:
    """`faults`: a line for each file of a shared type that is not what it was. `schemas`: the paths of all events that
    were released with one of these.
    """

    faults: tuple[str, ...]
    schemas: frozenset[str]


def changed_types(lock: Mapping[str, Locked], types: SharedTypes) -> Changed:
    """What of the shared types in the lock is edited or gone."""
    users: dict[str, list[str]] = {}
    for path, locked in lock.items():
        for name, sha256 in locked.types.items():
            if name not in types.files or types.files[name].sha256 != sha256:
                users.setdefault(name, []).append(path)
    faults = [_fault(path, ", ".join(sorted(users[path])), types) for path in sorted(users)]
    return Changed(tuple(faults), frozenset(path for paths in users.values() for path in paths))


def _fault(path: str, events: str, types: SharedTypes) -> str:
    if path not in types.files and path not in types.broken:
        return f"{path}: removed; old events need it, and these are made of it: {events}"
    return f"{path}: edited after it was released in {events}; put it back and add a new version of it instead"
