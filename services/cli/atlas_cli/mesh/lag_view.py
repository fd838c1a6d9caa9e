"""How `atlas lag --watch` shows a frame: a table that redraws itself on a terminal, lines elsewhere."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from atlas_cli.mesh.lag_watch import BAR_S, BARS_KEPT, EVERY_S, Frame
from atlas_cli.terminal.output import cell, console, print_json, printable, say
from atlas_cli.terminal.sparklines import bars_of, short_number, short_span, sparkline

if TYPE_CHECKING:
    from rich.console import RenderableType

# Widths of the columns of figures, of the status, and the least of the names and of the line.
_FIGURE, _STATUS, _NAME_MIN, _LINE_MIN = 7, 14, 8, 12
_GAP = 2
# Lines of the screen that are no rows: the line above, the header, what is left out, what is wrong, the cursor.
_NO_ROWS = 5
_RED = ("stopped", "stalled", "old-topic", "lost", "beyond-end")
_YELLOW = ("blocked", "falling-behind", "no-members")
_CALM = ("ok", "caught-up")


@contextmanager
def lag_view(*, as_json: bool) -> Iterator[Callable[[Frame], None]]:
    """Gives the function to call with each new frame: JSON, a document a line, or a table, or a line a row."""
    screen = console()
    if as_json:
        yield _show_json
    elif screen.is_terminal:
        from rich.live import Live

        bars = bars_of(screen.encoding)
        with Live(console=screen, auto_refresh=False) as live:
            yield lambda frame: live.update(
                table(frame, screen.width, max(1, screen.height - _NO_ROWS), bars), refresh=True
            )
    else:
        yield _show_lines


def _show_json(frame: Frame) -> None:
    print_json({"at": _clock("%Y-%m-%dT%H:%M:%SZ"), "trouble": frame.trouble, "items": [*frame.rows]}, one_line=True)


def _show_lines(frame: Frame) -> None:
    at = _clock("%H:%M:%SZ")
    if frame.trouble:
        say(f"{at} {frame.trouble}", err=True)
        return
    if not frame.rows:
        say(f"{at} no group reads or has read anything")
    for row in frame.rows:
        figures = "  ".join(
            f"{name} {row[name]}" for name in ("records", "seconds", "read_per_s") if row[name] is not None
        )
        say(f"{at} {row['group']} {row['topic']}  {figures}  {_status(row)}")


def _status(row: Mapping[str, Any]) -> str:
    """What the last minute says; the state of this moment where that is not known."""
    return str(row.get("status") or row["state"])


def _colour(status: str) -> str:
    for those, colour in ((_RED, "red"), (_YELLOW, "yellow"), (_CALM, "dim")):
        if status in those:
            return colour
    return "none"


def _clock(form: str) -> str:
    return time.strftime(form, time.gmtime())


def table(frame: Frame, width: int, height: int, bars: str) -> "RenderableType":
    """The rows in `width` columns, of which at most `height` are shown; a name that is too long ends in …."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    group, topic, with_status, line = _widths(frame, width)
    grid = Table(box=None, header_style="bold", padding=(0, _GAP, 0, 0), pad_edge=False)
    for name, size in (("group", group), ("topic", topic)):
        grid.add_column(name, width=size, no_wrap=True, overflow="ellipsis")
    for name in ("records", "behind", "read/s"):
        grid.add_column(name, width=_FIGURE, justify="right", no_wrap=True)
    if with_status:
        grid.add_column("status", width=_STATUS, no_wrap=True)
    grid.add_column(f"last {line * BAR_S // 60} min", width=line, no_wrap=True)
    for row in frame.rows[:height]:
        trail = frame.trails.get((row["group"], row["topic"]), [])
        texts = [cell(row["group"]), cell(row["topic"]), Text(short_number(row["records"]))]
        texts += [Text(short_span(row["seconds"])), Text(short_number(row["read_per_s"]))]
        if with_status:
            texts.append(cell(_status(row)))
        grid.add_row(*texts, Text(sparkline(trail[-line:], bars)), style=_colour(_status(row)))
    head = (
        f"{_clock('%H:%M:%SZ')}  {len(frame.rows)} groups and topics, worst first, every {EVERY_S:.0f} s; Ctrl-C ends"
    )
    below = [f"and {len(frame.rows) - height} more"] if len(frame.rows) > height else []
    below += [printable(frame.trouble)] if frame.trouble else []
    lines = [Text(text, no_wrap=True, overflow="ellipsis") for text in (head, *below)]
    return Group(lines[0], grid, *lines[1:])


def _widths(frame: Frame, width: int) -> tuple[int, int, bool, int]:
    """Of group and topic, whether the status has room beside whole names, and of the line."""
    from rich.cells import cell_len

    group = max((cell_len(printable(row["group"])) for row in frame.rows), default=_NAME_MIN)
    topic = max((cell_len(printable(row["topic"])) for row in frame.rows), default=_NAME_MIN)
    group, topic = max(group, _NAME_MIN), max(topic, _NAME_MIN)
    room = width - 3 * _FIGURE - 5 * _GAP - _LINE_MIN
    with_status = group + topic + _STATUS + _GAP <= room
    room -= (_STATUS + _GAP) if with_status else 0
    while group + topic > room and max(group, topic) > _NAME_MIN:
        if group >= topic:
            group -= 1
        else:
            topic -= 1
    return group, topic, with_status, min(BARS_KEPT, _LINE_MIN + max(0, room - group - topic))
