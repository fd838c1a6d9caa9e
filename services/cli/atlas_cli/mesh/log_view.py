"""`atlas logs`: the lines of all parts in the order of time, those that are asked for, as they are or as they come."""

import re
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from atlas_local.home import Home
from atlas_local.supervising.log_lines import LEVELS, LogLine, parse_all
from atlas_local.topology import MESH

from atlas_cli.terminal.output import CommandError, inline_json, print_json, printable, say

LINES = 20
_ABBREVIATED = {"warning": "warn", "critical": "crit"}
# Said in a line's own columns, or too long for most: --json has them.
_NOT_SHOWN = frozenset({"instance", "logger", "span_id", "correlation_id", "traces", "exception", "stack"})
_INDENT = "    "
_TRACE = re.compile(r"(?:[0-9a-f]{2}-)?([0-9a-f]{32})(?:-[0-9a-f]{16}-[0-9a-f]{2})?")
_AGO = re.compile(r"(\d+)\s*([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines: of a trace, of services, from a level up, since a time; all of them where nothing is said."""

    trace: str | None = None
    services: tuple[str, ...] = ()
    level: str | None = None
    since: datetime | None = None

    @property
    def all(self) -> bool:
        """Whether nothing is left out."""
        return not (self.trace or self.services or self.level or self.since)

    def has(self, line: LogLine) -> bool:
        """Whether the line is wanted. One that says no level is, whatever the level asked for."""
        return (
            (self.trace is None or line.is_of(self.trace))
            and (not self.services or line.service in self.services)
            and (self.level is None or not line.level or LEVELS.index(line.level) >= LEVELS.index(self.level))
            and (self.since is None or (line.at is not None and line.at >= self.since))
        )


def wanted(trace: str | None, services: Sequence[str], level: str | None, since: str | None) -> Wanted:
    """What the options ask for; CommandError for one that says nothing."""
    return Wanted(
        None if trace is None else _trace(trace),
        tuple(services),
        None if level is None else _level(level),
        None if since is None else _since(since),
    )


def print_logs(
    home: Home, names: Sequence[str], want: Wanted, *, lines: int | None, follow: bool, as_json: bool
) -> None:
    """Print the wanted lines of these parts, of all where none is named, and with `follow` those that come.

    `lines`: the last of each part alone. CommandError for a name of no part, and for a trace of which nothing is said.
    """
    paths = _paths(home, names)
    tails = {name: _Tail(path) for name, path in paths.items()}
    found = [line for name, path in paths.items() for line in _last(name, path, want, lines)]
    # Of equal times, and of those without one, the order of the log stays.
    found.sort(key=lambda line: line.at or datetime.min.replace(tzinfo=UTC))
    show = _Printer(want, max(map(len, paths), default=0), as_json=as_json)
    for line in found:
        show(line)
    if follow:
        _follow(tails, want, show)
    elif want.trace is not None and not found:
        details = ["lines of single requests and batches are of level DEBUG: ATLAS_LOG_LEVEL=DEBUG atlas up"]
        raise CommandError(f"no line here is of the trace {want.trace}", details)


def _paths(home: Home, names: Sequence[str]) -> dict[str, Path]:
    known = [part.name for part in MESH] + ["supervisor"]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise CommandError(f"no part of the mesh is named {unknown[0]}; there are {', '.join(known)}")
    return {name: home.log(name) for name in names or known if names or home.log(name).exists()}


def _last(name: str, path: Path, want: Wanted, lines: int | None) -> Iterable[LogLine]:
    texts = _texts(path, want)
    if want.all and lines is not None:
        return parse_all(name, deque(texts, maxlen=lines))
    found = (line for line in parse_all(name, texts) if want.has(line))
    return found if lines is None else deque(found, maxlen=lines)


def _texts(path: Path, want: Wanted) -> Iterator[str]:
    """The lines of a log, of what was cut from it before too; of a trace those that name it, which are few."""
    named = b"" if want.trace is None else want.trace.encode()
    for file in (path.with_name(path.name + ".1"), path):
        try:
            with file.open("rb") as opened:
                yield from (raw.rstrip(b"\n").decode(errors="replace") for raw in opened if named in raw)
        except FileNotFoundError:
            continue


class _Printer:
    """Prints lines: as JSON, or in columns that keep to the width of the terminal."""

    def __init__(self, want: Wanted, name_width: int, *, as_json: bool) -> None:
        self._as_json, self._name_width = as_json, name_width
        self._hidden = _NOT_SHOWN | ({"trace_id"} if want.trace else set())
        self._width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def __call__(self, line: LogLine) -> None:
        if self._as_json:
            print_json(line.document(), one_line=True)
            return
        for text in self.texts(line):
            say(text)

    def texts(self, line: LogLine) -> Iterator[str]:
        """The line, and below it what does not fit beside it and its traceback."""
        head = f"{_clock(line.at):13} {_ABBREVIATED.get(line.level, line.level):5} {line.part:{self._name_width}} "
        fields = [f"{key}={_value(value)}" for key, value in line.fields.items() if key not in self._hidden]
        # Escaped first: an escape is wider than what it stands for.
        yield from wrapped(printable(head + line.event), [printable(text) for text in fields], self._width)
        for key in ("exception", "stack"):
            for text in str(line.fields.get(key) or "").splitlines():
                yield from wrapped(printable(_INDENT + text), [], self._width)


def wrapped(head: str, fields: Sequence[str], width: int | None) -> Iterator[str]:
    """The words in lines no wider than this, the first flush left; a word that is wider is broken."""
    text = head
    for word in fields:
        if width is None or len(text) + 1 + len(word) <= width:
            text = f"{text} {word}"
        else:
            yield from _broken(text, width)
            text = _INDENT + word
    yield from _broken(text, width)


def _broken(text: str, width: int | None) -> Iterator[str]:
    while width is not None and len(text) > width:
        at = text.rfind(" ", len(_INDENT) + 1, width + 1)
        at = at if at > 0 else width
        yield text[:at].rstrip()
        text = _INDENT + text[at:].lstrip()
    yield text


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value if value and " " not in value else f'"{value}"'
    return inline_json(value)


def _clock(at: datetime | None) -> str:
    """The time of day, UTC; of another day its date."""
    if at is None:
        return ""
    today = datetime.now(UTC).date()
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03}Z" if at.date() == today else f"{at:%m-%d %H:%M}Z"


def _follow(tails: Mapping[str, "_Tail"], want: Wanted, show: _Printer) -> None:
    while True:
        come = [line for name, tail in tails.items() for line in parse_all(name, tail.new_lines()) if want.has(line)]
        for line in sorted(come, key=lambda line: line.at or datetime.min.replace(tzinfo=UTC)):
            show(line)
        time.sleep(_POLL_S)


class _Tail:
    """What is appended to a file from now on; begins anew when the file was cut."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0
        self._rest = b""

    def new_lines(self) -> deque[str]:
        """The whole lines since the last call."""
        size = self._path.stat().st_size if self._path.exists() else 0
        if size < self._position:
            self._position, self._rest = 0, b""
        if size == self._position:
            return deque()
        file: IO[bytes]
        with self._path.open("rb") as file:
            file.seek(self._position)
            data = self._rest + file.read()
            self._position = file.tell()
        *whole, self._rest = data.split(b"\n")
        return deque(line.decode(errors="replace") for line in whole)


def _trace(text: str) -> str:
    match = _TRACE.fullmatch(text.strip().lower())
    if match is None:
        raise CommandError(f"{text} is no trace id: expected 32 hexadecimal digits, or a traceparent")
    return match[1]


def _level(text: str) -> str:
    level = text.lower()
    if level not in LEVELS:
        raise CommandError(f"{text} is no level; there are {', '.join(LEVELS)}")
    return level


def _since(text: str) -> datetime:
    if (ago := _AGO.fullmatch(text.strip())) is not None:
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text} is no time: expected 90s, 10m, 2h, 1d, or one like 2026-01-31T12:00:00Z") from None
    return at.astimezone(UTC)
