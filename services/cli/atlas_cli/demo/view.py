"""The live view: a table that redraws itself on a terminal, a line every few seconds elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.table import Table

from atlas_cli.demo.load import Progress
from atlas_cli.demo.watch import ARCHIVER_GROUP, Snapshot
from atlas_cli.terminal.output import cell, console, say

PLAIN_EVERY_S = 3.0
Show = Callable[[Progress, Snapshot], None]


@contextmanager
def live_view() -> Iterator[Show]:
    """Gives the function to call with each new snapshot."""
    screen = console(err=True)
    if screen.is_terminal:
        with Live(console=screen, refresh_per_second=4) as live:
            yield lambda progress, snapshot: live.update(_table(progress, snapshot))
        return
    last = 0.0

    def show(progress: Progress, snapshot: Snapshot) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_EVERY_S:
            last = time.monotonic()
            say(_line(progress, snapshot), err=True)

    yield show


def _elapsed(progress: Progress, snapshot: Snapshot) -> float:
    return snapshot.at - progress.first_request if progress.first_request is not None else 0.0


def _line(progress: Progress, snapshot: Snapshot) -> str:
    archived = sum(offset for (group, _), offset in snapshot.committed.items() if group == ARCHIVER_GROUP)
    lag = sum(snapshot.behind(group, topic) for group, topic in _projections(snapshot))
    return (
        f"{_elapsed(progress, snapshot):5.1f} s  sent {sum(progress.sent.values()):,}"
        f"  on the topics {sum(snapshot.ends.values()):,}"
        f"  archived {archived:,}"
        f"  lag of the projections {lag:,}"
    )


def _projections(snapshot: Snapshot) -> list[tuple[str, str]]:
    return sorted(key for key in snapshot.committed if key[0] != ARCHIVER_GROUP)


def _table(progress: Progress, snapshot: Snapshot) -> Table:
    table = Table(title=f"{_elapsed(progress, snapshot):.1f} s since the first request", title_justify="left")
    table.add_column("topic")
    for column in ("sent", "on the topic", "archived", "not yet archived"):
        table.add_column(column, justify="right")
    table.add_column("not yet projected")
    for topic in sorted(snapshot.ends):
        waiting = ", ".join(
            f"{group.removeprefix('projector.')} {snapshot.behind(group, topic):,}"
            for group, of_group in _projections(snapshot)
            if of_group == topic
        )
        table.add_row(
            cell(topic),
            f"{progress.sent.get(topic, 0):,}",
            f"{snapshot.ends[topic]:,}",
            f"{snapshot.committed.get((ARCHIVER_GROUP, topic), 0):,}",
            f"{snapshot.behind(ARCHIVER_GROUP, topic):,}",
            cell(waiting),
        )
    return table
