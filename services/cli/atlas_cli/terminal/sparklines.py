"""Figures in little room: a line of bars, numbers of at most six characters, spans of time."""

from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
# For a terminal whose encoding has no bars.
ASCII_BARS = ".:-=+*%#"
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_WHOLE_FROM = 100


def bars_of(encoding: str | None) -> str:
    """The bars that a stream of this encoding can show, lowest first."""
    try:
        BARS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII_BARS
    return BARS


def sparkline(values: Sequence[float | None], bars: str = BARS, gap: str = " ") -> str:
    """A character a value: `gap` for None, the lowest bar for 0, the highest for the most of them."""
    most = max((value for value in values if value is not None), default=0)
    return "".join(gap if value is None else bars[_height(value, most, len(bars))] for value in values)


def _height(value: float, most: float, bars: int) -> int:
    if value <= 0 or most <= 0:
        return 0
    return max(1, round(value / most * (bars - 1)))  # what is there at all is more than nothing


def short_number(value: float | None) -> str:
    """At most six characters: 0.5, 12, 9999, 12.3k, 4.6M; empty for None."""
    if value is None:
        return ""
    if value < _WHOLE_FROM and value != int(value):
        return f"{value:.1f}"
    if round(value) < 10_000:
        return f"{value:.0f}"
    for unit, letter in _UNITS:
        if value >= unit:
            return f"{value / unit:.1f}{letter}" if value / unit < _WHOLE_FROM else f"{value / unit:.0f}{letter}"
    return f"{value:.0f}"


def short_span(seconds: float | None) -> str:
    """A span of time in two units at most: 0.4s, 12s, 16m40s, 3h05m, 2d03h; empty for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f}s" if seconds else "0s"
    if seconds < _MINUTE:
        return f"{int(seconds)}s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)}m{int(seconds % _MINUTE):02}s"
    if seconds < _DAY:
        return f"{int(seconds // _HOUR)}h{int(seconds % _HOUR // _MINUTE):02}m"
    return f"{int(seconds // _DAY)}d{int(seconds % _DAY // _HOUR):02}h"
