"""How the state of the mesh looks: progress, addresses, the table of `atlas status`."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from atlas_local.supervising.state import PartState, State
from atlas_local.supervising.supervisor import DISK_FULL_BYTES

from atlas_cli.terminal.output import cell, console, print_rows, say

_FINE = ("ready", "done", "outside", "absent", "off", "stopped")
_NOT_SHOWN = ("off", "absent")
_MARKS = {"ready": ("✓", "green"), "done": ("✓", "green"), "outside": ("✓", "green"), "back-off": ("✗", "red")}


class Progress:
    """A live table on a terminal, a line for each change elsewhere, nothing when quiet."""

    def __init__(self, *, quiet: bool) -> None:
        self._began = time.monotonic()
        self._quiet = quiet
        self._seen: dict[str, tuple[str, str]] = {}
        self._live: Any = None

    def __enter__(self) -> "Progress":
        if not self._quiet and sys.stdout.isatty():
            from rich.live import Live

            self._live = Live(console=console(), refresh_per_second=10, transient=False)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, state: Mapping[str, Any]) -> None:
        """Show the state, or what is new in it."""
        parts = [part for part in state["parts"] if part["state"] not in _NOT_SHOWN]
        if self._live is not None:
            self._live.update(_progress_table(parts))
        elif not self._quiet:
            for part in parts:
                now = (part["state"], _first_line(part["detail"]))
                if self._seen.get(part["name"]) != now:
                    self._seen[part["name"]] = now
                    took = time.monotonic() - self._began
                    say(f"{took:6.1f} s  {part['name']:18} {' '.join(filter(None, now))}")


def _progress_table(parts: list[PartState]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for part in parts:
        mark = Text(*_MARKS.get(part["state"], ("…", "yellow")))
        note = part["url"] if part["state"] == "ready" else _first_line(part["detail"])
        table.add_row(mark, *(cell(text) for text in (part["name"], part["state"], note)))
    return table


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else ""


def print_addresses(state: State, took_s: float) -> None:
    """The closing lines of `atlas up`: where everything is."""
    running = [part for part in state["parts"] if part["state"] in ("ready", "outside") and part["url"]]
    say()
    say(f"ready in {took_s:.1f} s")
    for part in running:
        say(f"  {part['name']:18} {part['url']}")
        if part["name"] == "gateway":
            say(f"  {'':18} {part['url']}/docs")
    say()
    say("atlas status · atlas logs -f · atlas down · addresses and secrets: atlas env")


def healthy(state: State) -> bool:
    """Whether a mesh runs and nothing that should run is in trouble; what was stopped by request is not."""
    return bool(state["running"]) and all(part["state"] in _FINE for part in state["parts"])


def print_status(state: State) -> None:
    """The table of `atlas status`."""
    if not state["running"]:
        say("no mesh runs here; start one: atlas up")
        if not any(part["state"] == "left behind" for part in state["parts"]):
            return
        say("its supervisor is gone and has left processes; end them: atlas down")
    shown = [part for part in state["parts"] if part["state"] not in _NOT_SHOWN]
    if not shown:
        say(f"supervised by process {state['supervisor']['pid']}, and nothing is asked for; start it all: atlas up")
        return
    print_rows([_row(part) for part in shown], as_json=False)
    for part in shown:
        if detail := _detail(part):
            say(f"{part['name']}: {detail}")
    free = state["disk_free_bytes"]
    if free is not None and free < DISK_FULL_BYTES:
        say(f"the disk is full ({free // 1_000_000} MB free): what ends for it is started again until there is space")


def _row(part: PartState) -> dict[str, Any]:
    return {
        "part": part["name"],
        "state": part["state"],
        "pid": part["pid"],
        "up": _duration(part["up_s"]) if part["pid"] else None,
        "memory": _memory(part["pid"]),
        "restarts": part["restarts"] or None,
        "last exit": part["last_exit"],
        "address": part["url"],
    }


def _detail(part: PartState) -> str:
    detail = _first_line(part["detail"] or part["trouble"])
    return detail if part["retry_in_s"] is None else f"again in {part['retry_in_s']} s: {detail}"


def _duration(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {rest}s" if minutes else f"{rest}s"


def _memory(pid: int | None) -> str | None:
    """Memory of a process and its children."""
    if pid is None:
        return None
    import psutil

    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        # The proportional share: PostgreSQL's processes would otherwise each count the memory they share.
        return f"{sum(member.memory_full_info().pss for member in family) // 1_000_000} MB"
    except psutil.Error:
        return None
