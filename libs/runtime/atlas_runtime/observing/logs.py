"""Logs: one JSON object a line (or columns for people), with correlation and trace ids, never with a secret or a value
of a user's.

Loggers come from `structlog.get_logger(__name__)`. What libraries log through `logging` takes the same form. Bind an id
to everything that is logged below a block with `with correlated(request_id): …`. What is said again and again is held
back and counted, see `repeats`; but never a line of level DEBUG, which is asked for.
"""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TextIO, cast

import orjson
import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

from atlas_runtime.observing import otlp_logs
from atlas_runtime.observing.repeats import AT_MOST, Repeats
from atlas_runtime.observing.safe_text import safe, told
from atlas_runtime.settings import ServiceSettings

# Chatty below these levels, and nothing a service's own log does not already say.
_LIBRARY_LEVELS = {"aiokafka": logging.WARNING, "kafka": logging.WARNING, "asyncio": logging.WARNING,
                   "botocore": logging.WARNING, "aiobotocore": logging.WARNING, "faust": logging.WARNING,
                   "mode": logging.WARNING, "aiohttp.access": logging.WARNING, "urllib3": logging.WARNING}  # fmt: skip
# Of what libraries say again: aiokafka alone says 100 lines a second while Kafka is away.
_OF_A_LIBRARY = 1
_LIKE = "_like"  # a library's text before its arguments are filled in
_KEYS_FIRST = ("timestamp", "level", "service", "instance", "logger", "event")

_correlation_id: ContextVar[str | None] = ContextVar("atlas_correlation_id", default=None)


def correlation_id() -> str | None:
    """The id of the request or batch being worked on, or None."""
    return _correlation_id.get()


@contextmanager
def correlated(value: str) -> Iterator[None]:
    """Within the block (and the tasks it starts) `correlation_id()` and every log line carry `value`."""
    reset = _correlation_id.set(value)
    try:
        yield
    finally:
        _correlation_id.reset(reset)


class Unfailing:
    """A stream whose lines are lost when they can't be written: a full disk behind a log ends no service."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or lose it."""
        with suppress(OSError, ValueError):  # ValueError: it is closed
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or leave it for later."""
        with suppress(OSError, ValueError):
            self._stream.flush()


class _Lines:
    """From what was said to the line that is written: the last steps of our own loggers and of those of libraries."""

    def __init__(self, settings: ServiceSettings, stream: TextIO) -> None:
        self._identity = {"service": settings.service, "instance": settings.instance}
        self._stream = Unfailing(stream)
        self._exporter = otlp_logs.open_exporter(settings)
        self.debugging = settings.log_level == "DEBUG"
        self._lock = threading.Lock()
        self._columns = None if settings.json_logs else structlog.dev.ConsoleRenderer(colors=stream.isatty())
        self.repeats = Repeats(self.write)

    def take(self, event: EventDict) -> None:
        """Write what was said, unless the same has been said too often."""
        error = _error_of(event.pop("exc_info", None))
        like = event.pop(_LIKE, None)
        if event["level"] != "debug" or like is not None:
            # An error of another kind is news, whatever the line is called.
            kind = type(error).__name__ if error is not None else str(event.get("error", "")).partition(":")[0]
            what = like if like is not None else event.get("event")
            at_most = AT_MOST if like is None else _OF_A_LIBRARY
            # With a traceback only what is written: one that is kept holds all that its frames hold.
            if not self.repeats.take((event.get("logger"), event["level"], what, kind), event, at_most):
                return
        if error is not None:
            event["exception"] = told(error)
        self.write(event)

    def write(self, event: EventDict) -> None:
        """Write a line, and send it where lines are sent to; whatever it holds, what must not be said is not."""
        line = {key: safe(key, value) for key, value in {**self._identity, **event}.items()}
        if self._exporter is not None:
            self._exporter.emit(line)
        if self._columns is None:
            text = _dumps({key: line[key] for key in _KEYS_FIRST if key in line} | line)
        else:
            for key in (*self._identity, "logger"):
                line.pop(key, None)
            text = str(self._columns(None, "", line))
        with self._lock:
            self._stream.write(text + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Write what is held back, and send what was not yet sent."""
        self.repeats.close()
        if self._exporter is not None:
            self._exporter.shutdown()


class _Sink:
    """What structlog hands a line to; it knows the name that the logger was asked for by."""

    def __init__(self, lines: _Lines, name: str | None = None) -> None:
        self._lines, self.name = lines, name

    def msg(self, **event: Any) -> None:
        """Take a line of any level."""
        self._lines.take(event)

    debug = info = warning = error = critical = exception = msg


class _OfLibraries(logging.Handler):
    """Lets lines of `logging` take the same way as our own."""

    def __init__(self, lines: _Lines, steps: list[Processor]) -> None:
        super().__init__()
        self._lines, self._steps = lines, steps

    def emit(self, record: logging.LogRecord) -> None:
        """Hand on the record; one that can't be put together is the standard handler's to report."""
        try:
            event: EventDict = {"event": record.getMessage(), "logger": record.name, "exc_info": record.exc_info}
            event.update({"level": record.levelname.lower(), _LIKE: str(record.msg)})
            for step in self._steps:
                event = cast(EventDict, step(None, "", event))
            self._lines.take(event)
        except Exception:  # noqa: BLE001 - as every handler of logging does
            self.handleError(record)


class _State:
    """The lines of this process; set by `configure`."""

    lines: _Lines | None = None


def configure(settings: ServiceSettings, stream: TextIO | None = None) -> None:
    """Send every log line of this process to `stream`, stdout by default, in the form the settings ask for.

    With `otlp_logs` and an `otlp_endpoint` to that too.
    """
    level = logging.getLevelNamesMapping()[settings.log_level]
    if _State.lines is not None:
        _State.lines.close()
    lines = _State.lines = _Lines(settings, stream or sys.stdout)
    both: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _add_ids,
    ]
    structlog.configure(
        processors=[structlog.processors.add_log_level, _add_name, *both],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *names: _Sink(lines, names[0] if names else None),
    )
    root = logging.getLogger()
    root.handlers[:] = [_OfLibraries(lines, both)]
    root.setLevel(level)
    for name, least in _LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(max(level, least))


def shutdown() -> None:
    """Say what is held back and send what is not yet sent; blocks for the exporter's time-out (3 s) at most."""
    if _State.lines is not None:
        _State.lines.close()
        _State.lines = None


def debugging() -> bool:
    """Whether lines of level DEBUG are written: for what takes time to put together."""
    return _State.lines is not None and _State.lines.debugging


def _add_name(logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if logger.name is not None:
        event.setdefault("logger", logger.name)
    return event


def _add_ids(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if (current := _correlation_id.get()) is not None:
        event.setdefault("correlation_id", current)
    context = trace.get_current_span().get_span_context()
    # One that is given belongs to a record out of a batch, whose span is in the trace of another.
    if context.is_valid and "trace_id" not in event:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event


def _error_of(told_of: Any) -> BaseException | None:
    """The exception that `exc_info` stands for: itself, a triple, or the one being handled."""
    if isinstance(told_of, BaseException):
        return told_of
    if isinstance(told_of, tuple):
        return cast("BaseException | None", told_of[1])
    return sys.exc_info()[1] if told_of else None


def _dumps(event: EventDict) -> str:
    return orjson.dumps(event).decode()
