"""What a service runs that people change: schemas, and the code of contexts, as one digest a service.

The code is found as the services find it, by the entry points that a context's pyproject.toml names, and from there by
its imports: a change of a command restarts the gateway alone.
"""

import ast
import hashlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

# What each service loads of a context; see atlas_runtime.contexts.
_GROUPS = {"gateway": ("atlas.routes", "atlas.projections"), "projector": ("atlas.projections",)}
_READ_SCHEMAS = ("gateway", "projector", "archiver")
_SCHEMA_FILES = (".avsc", ".yaml", ".lock")


def digest(service: str, root: Path, schemas: Path) -> str:
    """The same as long as a restart would change nothing; empty for a service that runs none of it."""
    paths: set[Path] = set()
    if service in _READ_SCHEMAS:
        paths |= {path for path in schemas.rglob("*") if path.suffix in _SCHEMA_FILES}
    for project in root.glob("contexts/*/pyproject.toml"):
        paths |= set(_code(project, _GROUPS.get(service, ())))
    found = hashlib.sha256()
    for path in sorted(paths):
        found.update(f"{path}\0".encode())
        found.update(_bytes(path))
    return found.hexdigest() if paths else ""


def _code(project: Path, groups: tuple[str, ...]) -> Iterator[Path]:
    """The modules of a context that these entry points lead to, and where they are named."""
    try:
        named = tomllib.loads(project.read_text()).get("project", {}).get("entry-points", {})
        starts = [value.partition(":")[0] for group in groups for value in named.get(group, {}).values()]
    except (OSError, ValueError, AttributeError):
        yield project  # broken, and to be looked at again when it is mended
        return
    if not starts:
        return
    yield project
    waiting, seen = starts, set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for path in _files(project.parent, name):
            yield path
            waiting += _imported(path, name.partition(".")[0])


def _files(folder: Path, name: str) -> Iterator[Path]:
    """The module; of a package all that is in it, because it may gather its modules."""
    place = folder.joinpath(*name.split("."))
    module = place.with_suffix(".py")
    if module.is_file():
        yield module
    elif place.is_dir() and place.parent != folder:
        yield from place.rglob("*.py")


def _imported(path: Path, package: str) -> list[str]:
    try:
        tree = ast.parse(_bytes(path))
    except (SyntaxError, ValueError):
        return []
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == package:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] == package]
    return found


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
