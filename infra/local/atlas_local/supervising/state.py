"""The state of a mesh as its supervisor tells it, and the judging of what came over the socket."""

from typing import Any, NotRequired, TypedDict

from atlas_local.topology import MESH


class PartState(TypedDict):
    """One part. `trouble`: why it last failed; `started`: clock ticks since boot."""

    name: str
    kind: str
    state: str
    pid: int | None
    started: int | None
    up_s: float | None
    restarts: int
    last_exit: int | None
    retry_in_s: float | None
    failures: int
    detail: str
    trouble: str
    wanted: bool
    url: str
    log: NotRequired[str]


class State(TypedDict):
    """A mesh: `running` is whether a supervisor answers."""

    running: bool
    stopping: bool
    supervisor: dict[str, Any]
    parts: list[PartState]
    disk_free_bytes: int | None


_NUMBER = (int, float)
_PART: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "kind": (str,),
    "state": (str,),
    "pid": (int, type(None)),
    "up_s": (*_NUMBER, type(None)),
    "restarts": (int,),
    "last_exit": (int, type(None)),
    "retry_in_s": (*_NUMBER, type(None)),
    "failures": (int,),
    "detail": (str,),
    "trouble": (str,),
    "wanted": (bool,),
    "url": (str,),
}


class NotAState(Exception):
    """What should be the state of a mesh is none; the message says where."""


def judged(found: Any) -> State:
    """The state, `running` set, when it has the shape of one; raises NotAState."""
    if not isinstance(found, dict) or not isinstance(found.get("parts"), list):
        raise NotAState(f"found {found!r:.100}, expected a state with parts")
    supervisor = found.get("supervisor")
    if not isinstance(supervisor, dict) or not isinstance(supervisor.get("pid"), int):
        raise NotAState(f"supervisor: found {supervisor!r:.100}, expected its pid")
    for number, part in enumerate(found["parts"]):
        if not isinstance(part, dict):
            raise NotAState(f"parts/{number}: found {part!r:.100}, expected a part")
        for name, kinds in _PART.items():
            if not isinstance(part.get(name), kinds) or name not in part:
                raise NotAState(f"parts/{number}/{name}: found {part.get(name)!r:.100}")
    stopping, free = found.get("stopping") is True, found.get("disk_free_bytes")
    state: Any = found | {"running": True, "stopping": stopping, "disk_free_bytes": free if type(free) is int else None}
    return state  # type: ignore[no-any-return]


def without_supervisor(left: dict[str, int]) -> State:
    """The state when no supervisor answers: `left` has the parts whose processes are still there, with their ids."""
    parts: list[PartState] = [
        {
            "name": part.name,
            "kind": str(part.kind),
            "state": "left behind" if part.name in left else "stopped",
            "pid": left.get(part.name),
            "started": None,
            "up_s": None,
            "restarts": 0,
            "last_exit": None,
            "retry_in_s": None,
            "failures": 0,
            "detail": "",
            "trouble": "",
            "wanted": False,
            "url": "",
        }
        for part in MESH
    ]
    return {"running": False, "stopping": False, "supervisor": {}, "parts": parts, "disk_free_bytes": None}
