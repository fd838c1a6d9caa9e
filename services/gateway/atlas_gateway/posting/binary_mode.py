"""CloudEvents over HTTP in binary mode: attributes in `ce-*` headers, the data alone in the body."""

import re
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from aiohttp import hdrs, web
from atlas_contracts.values.scalars import describe
from atlas_http.problems import UNSUPPORTED_MEDIA_TYPE, Problem, field_error

from atlas_gateway.posting.envelopes import INVALID_RECORD, Envelope, Errors, Refused, cloud_event, is_json_type

PREFIX = "ce-"
# In binary mode these are the body and its Content-Type, never headers.
_NO_ATTRIBUTES = frozenset({"data", "data_base64", "datacontenttype"})
_STRUCTURED = "application/cloudevents"
_BROKEN_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPED = re.compile(r"\\(.)")

Groups = Callable[..., AsyncIterator[list[Any]]]


def is_binary(request: web.Request) -> bool:
    """Whether the request says of itself that it is one event in binary mode; its Content-Type decides, if it can."""
    named = any(name[:3].lower() == PREFIX for name in request.headers)
    return named and not request.content_type.startswith(_STRUCTURED)


def form(request: web.Request, document: Groups) -> tuple[Groups, Callable[[Any], Envelope]]:
    """How the body becomes one item, and an item an envelope; a 415 problem when the body is no JSON.

    `document` reads a JSON document, within the limits that it is called with. Faults of the attributes are the
    record's, and are named as those of the same event in structured mode: `/id` is the header `ce-id`.
    """
    content_type = request.headers.get(hdrs.CONTENT_TYPE, "none")
    if not is_json_type(content_type):
        raise Problem(
            UNSUPPORTED_MEDIA_TYPE,
            f"The Content-Type is {content_type[:100]}; with ce-* headers the body is one event's data, in JSON.",
            headers={"Accept-Post": "application/json"},
            accepted=["application/json"],
        )
    attributes, faults = read_attributes(request.headers.items())

    async def one(body: AsyncIterator[bytes], *limits: Any) -> AsyncIterator[list[Any]]:
        text = b"".join([piece async for piece in body])
        if not text or text.isspace():
            yield [{}]
        elif text.lstrip(b" \t\r\n").startswith(b"["):
            # Not to be read as many: they would all have the same id.
            error = field_error("/data", "an array", "one event's value, an object")
            yield [Refused(INVALID_RECORD, "The data is not one event's.", [*faults, error])]
        else:
            async for values in document(_again(text), *limits):
                yield [value if isinstance(value, Refused) else {"data": value} for value in values]

    return one, lambda data: cloud_event(attributes | data, faults)


def fingerprint(request: web.Request) -> bytes:
    """What else than its body makes this request another one: the attributes, in order."""
    named = sorted((name.lower(), value) for name, value in request.headers.items() if name[:3].lower() == PREFIX)
    return repr(named).encode() if is_binary(request) else b""


def read_attributes(headers: Iterable[tuple[str, str]]) -> tuple[dict[str, str], Errors]:
    """The attributes by name, decoded, and what is wrong with the others."""
    attributes: dict[str, str] = {}
    faults: Errors = []
    seen: set[str] = set()
    for header, value in headers:
        if not header.lower().startswith(PREFIX):
            continue
        name = header.lower().removeprefix(PREFIX)
        if name in seen:
            faults.append(field_error(f"/{name}", f"the header {PREFIX}{name} twice", "one value"))
        elif name in _NO_ATTRIBUTES or not name:
            faults.append(field_error(f"/{name}", f"a header {PREFIX}{name}", "the body and its Content-Type"))
        else:
            try:
                attributes[name] = decode(value)
            except ValueError as error:
                faults.append(field_error(f"/{name}", describe(value), str(error)))
        seen.add(name)
    return attributes, faults


def decode(value: str) -> str:
    """A header's value as the attribute's text: unquoted, then percent-decoded once; ValueError says what it is not."""
    text = value.strip(" \t")
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = _ESCAPED.sub(r"\1", text[1:-1])
    if _BROKEN_PERCENT.search(text):
        raise ValueError("percent-encoded text: % is followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise ValueError("percent-encoded text in UTF-8") from None


async def _again(text: bytes) -> AsyncIterator[bytes]:
    yield text
