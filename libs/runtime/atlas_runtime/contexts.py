"""The bounded contexts that are installed: what each has for a service, found by entry points and listed nowhere.

A context's pyproject.toml names what it has, under its own name:

    [project.entry-points."atlas.projections"]
    bookings = "atlas_bookings.projection:PROJECTIONS"

The groups are `atlas.routes` (HTTP, served by the gateway), `atlas.projections` (run by the projector),
`atlas.migrations` (a package whose modules are Alembic's), `atlas.flags` (feature flags, listed by `atlas flags`) and
`atlas.demo` (what `atlas demo` and `atlas seed` send and prove: atlas_runtime.demo).
"""

import json
from collections.abc import Collection, Iterable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from pkgutil import iter_modules
from typing import Any
from urllib.parse import unquote, urlsplit

ROUTES = "atlas.routes"
PROJECTIONS = "atlas.projections"
MIGRATIONS = "atlas.migrations"
FLAGS = "atlas.flags"
DEMO = "atlas.demo"


class BrokenContext(Exception):
    """A context can't be loaded, or one that a setting names is not installed; the message says which and why."""


def contexts() -> list[str]:
    """The names of all contexts that are installed, in order."""
    return sorted({entry.name for group in (ROUTES, PROJECTIONS, MIGRATIONS) for entry in _entries(group)})


def offered(group: str, chosen: Collection[str] = ()) -> dict[str, Any]:
    """What each context has under `group`, by the context's name, in the order of names; `chosen` alone, unless empty.

    Raises BrokenContext when a chosen one is not installed, or one can't be imported.
    """
    unknown = sorted(set(chosen) - set(contexts()))
    if unknown:
        installed = ", ".join(contexts()) or "none"
        raise BrokenContext(f"no context {', '.join(unknown)} is installed; installed: {installed}")
    return {entry.name: _loaded(entry) for entry in _entries(group) if not chosen or entry.name in chosen}


def flat(group: str, chosen: Collection[str] = ()) -> list[Any]:
    """The same, for groups whose entries are sequences: all of their items."""
    return [item for items in offered(group, chosen).values() for item in items]


def gathered(package: str, path: Iterable[str], name: str) -> list[Any]:
    """What each module of a package has under `name`, in the order of the modules' names: `__name__`, `__path__`."""
    modules = sorted(found.name for found in iter_modules(path))
    return [item for module in modules for item in getattr(import_module(f"{package}.{module}"), name)]


def _entries(group: str) -> list[EntryPoint]:
    """What is offered under the group, in order; but by a folder that was deleted, which pip still knows."""
    return sorted((entry for entry in entry_points(group=group) if _is_there(entry)), key=lambda entry: entry.name)


def _is_there(entry: EntryPoint) -> bool:
    try:
        text = entry.dist.read_text("direct_url.json") if entry.dist is not None else None
        url = urlsplit(json.loads(text)["url"]) if text else None
    except (ValueError, LookupError, TypeError):
        return True
    return url is None or url.scheme != "file" or Path(unquote(url.path)).exists()


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except (ImportError, AttributeError, SyntaxError) as error:
        raise BrokenContext(
            f"the context {entry.name} can't be loaded: {entry.value}: {type(error).__name__}: {error}"
        ) from error
