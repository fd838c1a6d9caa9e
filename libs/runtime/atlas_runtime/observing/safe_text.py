"""What a log line may say: no secret, and no value out of a user's event, row or header.

Texts of errors are where such things come in. What stands where a value stands is cut, so a line names the field, the
place and the kind of error, and the dead letter or the answer to the caller has the value. Names of fields and of
topics, keys of maps, ids of requests and addresses without their password do come through.
"""

import re
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any

MASK = "***"
CUT = "…"
# Of a text of a line, and of one with a traceback: what is looked through is bounded, and so is the line.
TEXT_MAX = 4000
_TRACEBACK_MAX = 32_000
_DEPTH_MAX = 10
_INT_END = 2**63  # JSON's readers take no more, and Python refuses to write out a huge one
_SECRET_KEY = re.compile(
    r"passw|secret|authorization|api[_-]?key|access[_-]?key|credential|cookie|dsn$|token$", re.IGNORECASE
)
# What somebody sent or a table holds, whole. Numbers under these names are counts.
_PAYLOAD_KEY = re.compile(
    r"^(value|values|payload|body|row|rows|document|documents|headers|event_data|data|raw)$", re.IGNORECASE
)
_URL_PASSWORD = re.compile(r"(\w{1,20}://[^\s/:@]*):[^\s/]+@")
# A header's line to its end: a cookie has blanks and several parts.
_HEADER = re.compile(r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)\b(['\"]?\s{0,3}[:=]\s{0,3})[^\r\n]+")
_SCHEME = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{4,}")
_ASSIGNED = re.compile(
    r"(?i)((?:passw(?:or)?d|pwd|secret|token|(?:api|access|secret)[_-]?key|credential)s?)(['\"]?\s{0,3}[:=]\s{0,3})"
    r"(?:'[^']*'|\"[^\"]*\"|[^\s,;&)\]}]+)"
)
_SECRETS = (
    (_HEADER, rf"\1\2{MASK}"),
    (_SCHEME, rf"\1 {MASK}"),
    (_ASSIGNED, rf"\1\2{MASK}"),
)
# Each to the end of the text: a value may hold whatever ends one.
_VALUES = (
    (re.compile(r"(?s)((?:^|[,:] )found ).*"), rf"\1{CUT}"),  # how Atlas itself says what was there
    (re.compile(r"(?s)(\bDETAIL:\s+).*"), rf"\1{CUT}"),  # PostgreSQL: the key that is there, or the whole row
    (re.compile(r"(?s)(invalid input for query argument \$\d+: ).*"), rf"\1{CUT}"),
    (re.compile(r"(?s)(input_value=).*(?=, input_type=)"), rf"\1{CUT}"),
    (re.compile(r"(?s)((?:^|[:=] )[bru]{0,2})(['\"]).*"), rf"\1\2{CUT}\2"),
)
# What these quote is a path, an address or a name in code.
_OF_NO_VALUE = re.compile(
    r"(?:[\w.]{1,100}: )?\[Errno -?\d+\]|(?:Attribute|Type|Name|Import|ModuleNotFound|UnboundLocal)Error: "
)


def mask(text: str) -> str:
    """The text with the password of every URL in it replaced by ***."""
    return _URL_PASSWORD.sub(rf"\1:{MASK}@", text) if "://" in text else text


def without_secrets(text: str, most: int = TEXT_MAX) -> str:
    """The text without passwords of URLs, tokens of headers, and what is assigned to a secret's name; `most` characters
    of it at most.
    """
    found = text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
    if len(found) > most:
        # Not within a word: the beginning of a password would not be known for one.
        found = found[: max(found.rfind(" ", 0, most), found.rfind("\n", 0, most), 0)] + CUT
    found = mask(found)
    for pattern, replacement in _SECRETS:
        found = pattern.sub(replacement, found)
    return found


def of_error(text: str) -> str:
    """The same of what an error says: also cut where a value stands in it."""
    found = without_secrets(text)
    if _OF_NO_VALUE.match(found):
        return found
    for pattern, replacement in _VALUES:
        found = pattern.sub(replacement, found)
    return found


def safe(key: str, value: Any, depth: int = 0) -> Any:
    """What may be written of a field of a line: of bytes their number alone, of what is sent or stored nothing."""
    if _SECRET_KEY.search(key):
        return MASK
    if value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < _INT_END):
        return value
    if _PAYLOAD_KEY.search(key) or isinstance(value, int) or depth >= _DEPTH_MAX:
        return CUT
    if isinstance(value, dict):
        return {str(name): safe(str(name), item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [safe("", item, depth + 1) for item in value]
    return _safe_text(key, value)


def _safe_text(key: str, value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    text = value if isinstance(value, str) else str(value)
    if key in _WITH_FRAMES:
        return without_secrets(text, _TRACEBACK_MAX)
    return without_secrets(text) if key in _OF_ATLAS else of_error(text)


# What a line is about, in our own words.
_OF_ATLAS = frozenset({"event", "timestamp", "level", "logger", "service", "instance"})
# What `told` has made, and what the code says itself.
_WITH_FRAMES = frozenset({"exception", "stack"})


_CAUSED = "The above exception was the direct cause of the following exception:"
_MEANWHILE = "During handling of the above exception, another exception occurred:"


def told(error: BaseException) -> str:
    """An error with its traceback as Python prints it, and with those it came of, each by what may be said of it.

    No local variables: they may be anything.
    """
    return "\n".join(_told(error, set()))


def _told(error: BaseException, seen: set[int]) -> Iterator[str]:
    if id(error) in seen or len(seen) >= _DEPTH_MAX:
        return
    seen.add(id(error))
    cause = error.__cause__
    before = cause or (None if error.__suppress_context__ else error.__context__)
    if before is not None and (lines := list(_told(before, seen))):
        yield from lines
        yield _CAUSED if cause is not None else _MEANWHILE
    yield from _frames(error.__traceback__)
    name, module, text = type(error).__qualname__, type(error).__module__, _text(error)
    said = of_error(f"{name}: {text}" if text else name)
    yield said if module in ("builtins", "__main__") else f"{module}.{said}"
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from (f"  {line}" for line in _told(inner, seen))


def _frames(trace: TracebackType | None) -> Iterator[str]:
    if trace is not None:
        yield "Traceback (most recent call last):"
        yield from (line.rstrip("\n") for line in traceback.format_tb(trace))


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as odd:  # noqa: BLE001 - its own code
        return f"<{type(odd).__name__}>"
