"""`atlas dev`: the mesh, and what is edited running in it a moment after it is saved."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from atlas_local.home import Home
from atlas_local.supervising.control import request

_LOOK_EVERY_S = 0.3
_REFRESH_S = 240.0
_FOLDERS = ("contexts", "schemas")
_SUFFIXES = (".py", ".toml", ".avsc", ".yaml", ".lock")

Files = dict[Path, tuple[int, int]]


async def follow(home: Home, root: Path, install: Callable[[Path], list[str]], tell: Callable[[str], None]) -> None:
    """Until it is cancelled: whenever files of contexts or schemas have changed, have them run. Raises NotRunning."""
    seen = files(root)
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        now = files(root)
        if now == seen or now != await _settled(root, now):
            continue
        changed, seen = changes(seen, now), now
        tell(f"changed: {named(changed, root)}")
        install(root)
        for line in told(await request(home, "refresh", timeout_s=_REFRESH_S)):
            tell(line)


async def _settled(root: Path, now: Files) -> Files:
    """The files a moment later: an editor or a checkout may be in the midst of writing."""
    await asyncio.sleep(_LOOK_EVERY_S)
    later = files(root)
    return later if later == now else {}


def files(root: Path) -> Files:
    """What is looked at, with time and size."""
    found: Files = {}
    for folder in _FOLDERS:
        for path in (root / folder).rglob("*"):
            if path.suffix in _SUFFIXES and "tests" not in path.relative_to(root).parts:
                try:
                    stat = path.stat()
                except OSError:
                    continue  # gone since it was listed
                found[path] = (stat.st_mtime_ns, stat.st_size)
    return found


def changes(before: Files, after: Files) -> list[Path]:
    """The files that are new, gone or others."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def named(paths: list[Path], root: Path) -> str:
    """The first few, for people."""
    shown = ", ".join(str(path.relative_to(root)) for path in paths[:3])
    return shown if len(paths) <= 3 else f"{shown} and {len(paths) - 3} more"


def told(reply: dict[str, Any]) -> list[str]:
    """What came of a refresh, a line each."""
    lines = [f"restarted: {', '.join(reply['restarted'])}"] if reply["restarted"] else []
    lines += [f"not well: {' '.join(failed.split())}" for failed in reply["failed"]]
    return lines or ["nothing that runs reads it"]
