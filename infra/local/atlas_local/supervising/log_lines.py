"""Lines of the mesh's logs, read: those of the services are JSON, those of the servers have each a form of its own."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

LEVELS = ("debug", "info", "warning", "error", "critical")
_SAME = {level: level for level in LEVELS}
_WORDS = {**_SAME, "warn": "warning", "err": "error", "fatal": "critical", "panic": "critical", "log": "info"}
_MARKS = {".": "debug", "-": "debug", "*": "info", "#": "warning"}  # of Valkey
_LETTERS = {"I": "info", "W": "warning", "E": "error", "F": "critical"}  # of SeaweedFS
# What a line is known by; all else in it is a field.
_KNOWN = frozenset({"timestamp", "level", "event", "service"})

_COLUMNS = re.compile(r"(?P<at>\d{4}-\d\d-\d\dT[\d:.]+Z) \[(?P<level>\w+) *\] (?P<event>.*)")
_POSTGRES = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\d [\d:.]+) UTC \[\d+\] \S+ (?P<level>[A-Z]+\d?):  (?P<event>.*)", re.DOTALL
)
_VALKEY = re.compile(r"\d+:\w (?P<at>\d\d \w{3} \d{4} [\d:.]+) (?P<level>[.*#-]) (?P<event>.*)")
_WEED = re.compile(r"(?P<level>[IWEF])(?P<at>\d{4} \d\d:\d\d:\d\d\.\d+) (?P<event>.*)")
_KAFKA = re.compile(r"\[(?P<at>\d{4}-\d\d-\d\d [\d:]+,\d+)\] (?P<level>[A-Z]+) (?P<event>.*)")
_SPRING = re.compile(r"(?P<at>\d{4}-\d\d-\d\dT[\d:.]+Z) +(?P<level>[A-Z]+) \[.*?--- (?P<event>.*)")  # of Zipkin
_GO = re.compile(r"(?:ts|time)=(?P<at>\S+) .*?level=(?P<level>\w+) (?P<event>.*)")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log of `part`. `at` is None, and `level` empty, where nothing says them."""

    part: str
    event: str
    at: datetime | None = None
    level: str = ""
    service: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The line in the shape of those of the services, with its part."""
        at = None if self.at is None else self.at.isoformat().replace("+00:00", "Z")
        known = {"part": self.part, "timestamp": at, "level": self.level or None, "service": self.service}
        return {**known, "event": self.event, **self.fields}

    def is_of(self, trace: str) -> bool:
        """Whether it was said in this trace, or of a batch that has a record of it."""
        return self.fields.get("trace_id") == trace or trace in (self.fields.get("traces") or ())


def parse(part: str, text: str) -> LogLine:
    """Read one line; what has none of the known forms is an event without a time."""
    if text.startswith("{"):
        try:
            return _of_a_service(part, json.loads(text))
        except (ValueError, TypeError, KeyError):
            return LogLine(part, text, service=part)
    for form, when, levels in _FORMS:
        if (match := form.match(text)) and (at := when(match["at"])) is not None:
            level = levels.get(match["level"], "") or levels.get(match["level"].lower(), "info")
            return LogLine(part, match["event"], at, level, part)
    return LogLine(part, text, service=part)


def parse_all(part: str, texts: Iterable[str]) -> Iterator[LogLine]:
    """Read the lines of one log in their order; one without a time belongs to the one before it."""
    last = LogLine(part, "")
    for text in texts:
        line = parse(part, text)
        if line.at is None:
            line = replace(line, at=last.at, level=line.level or last.level)
        yield line
        last = line


def short(text: str) -> str:
    """A service's line as people read it: level, event and what goes wrong; any other as it is."""
    line = parse("", text)
    if line.at is None or not text.startswith("{"):
        return text
    shown = [f"{key}={value}" for key, value in line.fields.items() if key not in _NOT_SHORT]
    exception = line.fields.get("exception")
    return " ".join([line.level, line.event, *shown]) + (f"\n{exception}" if exception else "")


_NOT_SHORT = frozenset({"instance", "logger", "exception", "trace_id", "span_id", "correlation_id", "traces"})


def _of_a_service(part: str, document: Mapping[str, Any]) -> LogLine:
    fields = {key: value for key, value in document.items() if key not in _KNOWN}
    at, level = _iso(str(document["timestamp"])), str(document["level"]).lower()
    return LogLine(part, str(document["event"]), at, level, str(document.get("service") or part), fields)


def _iso(text: str) -> datetime | None:
    """UTC where it does not say otherwise."""
    try:
        at = datetime.fromisoformat(text.replace(",", "."))
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _local(form: str) -> Any:
    def when(text: str) -> datetime | None:
        try:
            # Where it leaves out the year it is of this one; a day that this year does not have is none.
            return datetime.strptime(f"{datetime.now(UTC).year} {text}", f"%Y {form}").astimezone(UTC)
        except ValueError:
            return None

    return when


def _local_iso(text: str) -> datetime | None:
    at = _iso(text)
    return None if at is None else at.replace(tzinfo=None).astimezone(UTC)


def _of_valkey(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%d %b %Y %H:%M:%S.%f").astimezone(UTC)
    except ValueError:
        return None


_FORMS: tuple[tuple[re.Pattern[str], Any, Mapping[str, str]], ...] = (
    (_COLUMNS, _iso, _WORDS),
    (_POSTGRES, _iso, _WORDS),
    (_VALKEY, _of_valkey, _MARKS),
    (_WEED, _local("%m%d %H:%M:%S.%f"), _LETTERS),
    (_KAFKA, _local_iso, _WORDS),
    (_SPRING, _iso, _WORDS),
    (_GO, _iso, _WORDS),
)
