"""Names as they are typed, and the same names as files, modules, classes, tables and paths have them."""

import keyword
import re

from atlas_cli.terminal.output import CommandError

_CONTEXT = re.compile(r"[a-z][a-z0-9]*")
_READ_MODEL = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_PASCAL = re.compile(r"[A-Z][A-Za-z0-9]*")
_PART = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z][a-z0-9]*|[a-z0-9]+")
# PostgreSQL cuts names at 63 bytes, and lines of code end at 120.
_LONGEST = 32
# Names that the modules which are written have in them already.
_OF_CODE = re.compile(
    "annotated|answer|body|changed|commands|connection|date|decimal|entity|field|headers|int|json|json_body|long|many"
    "|moment|now|projections|route|routes|table|text|uuid|web"
)
# Names that stand for something else below `contexts` and `schemas`, or in the database.
_TAKEN = {"health", "types", "test", "tests", "atlas", "app", "http", "outbox", "readmodel", "public"}


def context_name(text: str) -> str:
    """The name of a context. Raises CommandError."""
    if not _CONTEXT.fullmatch(text) or keyword.iskeyword(text) or len(text) > _LONGEST or text in _TAKEN:
        raise CommandError(
            f"no name of a context: {text!r}; expected lower case letters and digits, like bookings, up to"
            f" {_LONGEST} of them, and none of {', '.join(sorted(_TAKEN))}"
        )
    return text


def type_name(text: str, what: str, example: str) -> tuple[str, str]:
    """Context and name of an event or a command, `bookings.SeatBooked`. Raises CommandError."""
    context, dot, name = text.partition(".")
    if not dot or not _PASCAL.fullmatch(name) or len(name) > _LONGEST or _is_of_code(snake(name)):
        raise CommandError(f"no name of {what}: {text!r}; expected CONTEXT.Name, like {example}")
    return context_name(context), name


def read_model_name(text: str) -> tuple[str, str]:
    """Context and name of a projection, `bookings.seats`. Raises CommandError."""
    context, dot, name = text.partition(".")
    if not dot or not _READ_MODEL.fullmatch(name) or len(name) > _LONGEST or _is_of_code(name):
        raise CommandError(f"no name of a projection: {text!r}; expected CONTEXT.name, like bookings.seats")
    return context_name(context), name


def _is_of_code(name: str) -> bool:
    return keyword.iskeyword(name) or _OF_CODE.fullmatch(name) is not None


def words(name: str) -> list[str]:
    """`SeatBooked` and `seat_booked` are both seat, booked."""
    return [part.lower() for part in _PART.findall(name)]


def snake(name: str) -> str:
    """As modules and files are called."""
    return "_".join(words(name))


def kebab(name: str) -> str:
    """As paths are."""
    return "-".join(words(name))


def plural(word: str) -> str:
    """As a table of it and a path to it are called: booking, bookings; country, countries; address, addresses."""
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "z", "ch", "sh")) else f"{word}s"


def entity_of(key: str) -> str:
    """What a key is of: `booking_id` is of a booking."""
    return key.removesuffix("_id") or key
