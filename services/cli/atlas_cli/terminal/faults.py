"""What a failed command says: one line for whatever happened, never a traceback."""

import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import typer

from atlas_cli.terminal.output import say

FAILED, USAGE, DEFECT, INTERRUPTED = 1, 2, 70, 130  # exit codes; 70 is what sysexits.h calls an internal error
START_IT = "start the mesh: atlas up"


def debugging() -> bool:
    """Whether ATLAS_CLI_DEBUG asks for tracebacks and the libraries' logs; read here as settings may be at fault."""
    return os.environ.get("ATLAS_CLI_DEBUG", "").lower() in {"1", "true", "yes", "on"}


def hush() -> None:
    """Keep libraries, warnings and background threads from writing to the terminal, unless debugging."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that can't show a letter is no reason to end
    if debugging():
        return
    logging.getLogger().addHandler(logging.NullHandler())
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _unraisable: None
    threading.excepthook = lambda _arguments: None


def hush_structlog() -> None:
    """The same for what our own libraries log; apart, because to import structlog takes longer than most commands."""
    if debugging():
        return
    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.ReturnLoggerFactory(),
    )


def report(error: BaseException) -> int:
    """Print the error as one line; gives the exit code."""
    if isinstance(error, typer.Abort):
        say("atlas: not done", err=True)
        return FAILED
    if hasattr(error, "format_message"):  # what typer says; it has its own copy of click's errors
        return _misused(error)
    told = explain(error)
    if told is None:
        say(f"atlas: {_summary(error)}; this is a defect of atlas{_keep(error)}", err=True)
        return DEFECT
    say(f"atlas: {_on_one_line(told)}", err=True)
    for detail in getattr(error, "details", ()):
        say(f"  {detail}", err=True)
    if debugging():
        traceback.print_exception(error)
    return FAILED


def explain(error: BaseException) -> str | None:
    """What to tell of an error that a healthy command may meet; None for one that only a defect explains."""
    if isinstance(error, BaseExceptionGroup):
        told = [explain(inner) for inner in error.exceptions]
        return None if None in told else told[0]
    for family in type(error).__mro__:
        name = f"{family.__module__.partition('.')[0]}.{family.__name__}"
        if name in _FAMILIES:
            return _FAMILIES[name].format(error=_text(error), kind=type(error).__name__)
    return None


# By name, so that no library is imported for the commands that do without it.
_FAMILIES = {
    "atlas_cli.CommandError": "{error}",
    "atlas_local.NotRunning": "{error}; " + START_IT,
    "atlas_local.Refused": "{error}",
    "atlas_local.StartFailed": "{error}",
    "atlas_local.AlreadyRuns": "{error}",
    "atlas_local.NoAnswer": "{error}",
    "atlas_local.StillThere": "{error}",
    "atlas_local.NoFreePort": "{error}",
    "atlas_local.UnknownPart": "{error}",
    "atlas_kafka.Transient": "{error}; " + START_IT,
    "atlas_archive.BadManifest": "{error}; see `atlas archive verify`",
    "atlas_archive.CorruptFile": "{error}; see `atlas archive verify`",
    "atlas_archive.MissingObject": "{error}; see `atlas archive verify`",
    "atlas_outbox.CannotBackfill": "{error}",
    "atlas_contracts.BrokenSchemas": "schemas: {error}",
    "atlas_runtime.BrokenContext": "{error}",
    "atlas_runtime.DemoFailed": "{error}",
    "aiokafka.KafkaConnectionError": "Kafka does not answer: {error}; " + START_IT,
    "aiokafka.KafkaError": "Kafka: {error}",
    "asyncpg.PostgresError": "PostgreSQL: {error}",
    "asyncpg.InterfaceError": "PostgreSQL: {error}",
    "redis.RedisError": "Redis: {error}",
    "aiohttp.ClientConnectionError": "no answer: {error}; " + START_IT,
    "aiohttp.ClientError": "not an answer that can be read: {error}",
    "botocore.BotoCoreError": "the object store: {error}",
    "botocore.ClientError": "the object store: {error}",
    "pydantic_core.ValidationError": "not as expected: {error}",
    "builtins.TimeoutError": "no answer in time: {error}; " + START_IT,
    "builtins.ConnectionError": "no connection: {error}; " + START_IT,
    "builtins.OSError": "{error}",
    "builtins.RecursionError": "a value is nested too deeply: {error}",
    "builtins.MemoryError": "out of memory: {error}",
}


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return f"{where}{error.strerror}"
    return str(error) or type(error).__name__


def _summary(error: BaseException) -> str:
    leaf = next(_leaves(error))
    return _on_one_line(f"{type(leaf).__name__}: {leaf}")[:500]


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _on_one_line(text: str) -> str:
    return " ".join(part for line in text.splitlines() if (part := line.strip()))


def _keep(error: BaseException) -> str:
    """Append the traceback to the log of the CLI, where there is a mesh's folder; gives what to say of it."""
    if debugging():
        traceback.print_exception(error)
        return ""
    with suppress(Exception):  # no folder, a full disk: the line must be printed all the same
        from atlas_local.home import Home

        log = Home.find().log("cli")
        with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(traceback.format_exception(error))
        return f"; its traceback is in {log}"
    return "; set ATLAS_CLI_DEBUG=1 to see its traceback"


def _misused(error: Any) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return USAGE
    context = getattr(error, "ctx", None)
    asked = f"; see {context.command_path} --help" if context is not None else ""
    say(f"atlas: {_on_one_line(error.format_message())}{asked}", err=True)
    return USAGE
