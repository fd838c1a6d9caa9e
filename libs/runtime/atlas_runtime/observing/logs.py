"""Logs: one JSON object a line (or columns for people), with correlation and trace ids, never with a secret.

Loggers come from `structlog.get_logger()`. What libraries log through `logging` takes the same form. Bind an id to
everything that is logged below a block with `with correlated(request_id): …`.
"""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TextIO, cast

import orjson
import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

from atlas_runtime.settings import ServiceSettings

_SECRET_KEY = re.compile(
    r"passw|secret|authorization|api_?key|access_?key|credential|cookie|dsn$|token$", re.IGNORECASE
)
_URL_PASSWORD = re.compile(r"(\w+://[^\s/:@]*):[^\s/@]+@")
_MASK = "***"
# Chatty below these levels, and nothing a service's own log does not already say.
_LIBRARY_LEVELS = {"aiokafka": logging.WARNING, "kafka": logging.WARNING, "asyncio": logging.WARNING,
                   "botocore": logging.WARNING, "aiobotocore": logging.WARNING, "faust": logging.WARNING,
                   "mode": logging.WARNING, "aiohttp.access": logging.WARNING}  # fmt: skip

_REPEAT_AFTER_S = 10.0
_REMEMBERED = 1000

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


def mask(text: str) -> str:
    """The text with the password of every URL in it replaced by ***."""
    return _URL_PASSWORD.sub(rf"\1:{_MASK}@", text) if "://" in text else text


def _add_ids(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if (current := _correlation_id.get()) is not None:
        event.setdefault("correlation_id", current)
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event


def _hide(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: _MASK if _SECRET_KEY.search(str(key)) else _hide(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hide(item) for item in value]
    return value


def _hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        event[key] = _MASK if _SECRET_KEY.search(key) else _hide(value)
    return event


def _dumps(event: EventDict, **_options: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class _OncePerPeriod(logging.Filter):
    """Lets a library say the same thing once in a while: aiokafka alone says 100 lines a second while Kafka is away.

    The same is: the same logger and the same text before its arguments are filled in.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key = (record.name, str(record.msg))
        said_at, held_back = self._last.get(key, (-_REPEAT_AFTER_S, 0))
        if record.created - said_at < _REPEAT_AFTER_S:
            self._last[key] = (said_at, held_back + 1)
            return False
        if len(self._last) >= _REMEMBERED:  # texts that were never templates; forget all rather than grow
            self._last.clear()
        self._last[key] = (record.created, 0)
        if held_back:
            record.msg, record.args = f"{record.getMessage()} ({held_back} more like it)", ()
        return True


class Unfailing:
    """A stream whose lines are lost when they can't be written: a full disk behind a log ends no service."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or lose it."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or leave it for later."""
        with suppress(OSError):
            self._stream.flush()


def configure(settings: ServiceSettings) -> None:
    """Send every log line of this process to stdout in the form the settings ask for."""
    level = logging.getLevelNamesMapping()[settings.log_level]
    identity = {"service": settings.service, "instance": settings.instance}

    def add_identity(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**identity, **event}

    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        # Plain tracebacks: the structured ones carry local variables, which may be secrets.
        structlog.processors.format_exc_info,
        _add_ids,
        _hide_secrets,
    ]
    render: Processor
    if settings.json_logs:
        before.append(add_identity)
        render = structlog.processors.JSONRenderer(serializer=_dumps)
    else:
        render = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    structlog.configure(
        processors=[*before, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", Unfailing(sys.stdout))),
    )
    handler = logging.StreamHandler(Unfailing(sys.stdout))
    handler.addFilter(_OncePerPeriod())
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *before], processors=[remove_meta, render]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, least in _LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(max(level, least))
