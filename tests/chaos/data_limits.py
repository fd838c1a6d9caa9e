"""Requests with nothing wrong but that they pass one limit or break one rule: taken, were it not for that one guard.

So the type of the problem is looked at, which no other guard has; and that nothing of the request was taken.
"""

import asyncio
import gzip
import uuid
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import orjson

from tests.chaos.data_good import DEPARTED, haul
from tests.chaos.data_http import CLOUD, JSON, LINES, POST, HostileClient, event

BATCH = {"Content-Type": "application/cloudevents-batch+json"}
# The gateway's defaults.
_RECORDS, _MEMBERS, _REFUSED, _ERRORS, _ERRORS_EACH = 50_000, 20_000, 2_000, 1_000, 20
_BODY_BYTES = 16 * 1024 * 1024
_COMMAND_BYTES, _COMMAND_MEMBERS = 64 * 1024, 2_000


class Limited(NamedTuple):
    """A request, and the problem that it gets."""

    kind: str
    slug: str
    headers: dict[str, str]
    body: bytes
    path: str = POST
    method: str = "POST"


def good() -> bytes:
    """A record that nothing is wrong with."""
    return orjson.dumps(event())


def _repeated(member: bytes, count: int) -> bytes:
    """A good record that says one thing many times; the last one counts."""
    return b"{" + member * count + good()[1:]


def _packed(headers: dict[str, str]) -> dict[str, str]:
    return headers | {"Content-Encoding": "gzip"}


@cache
def _blank(size: int) -> bytes:
    """That many spaces, in gzip."""
    return gzip.compress(b" " * size, 1)


def _sizes() -> list[Limited]:
    members = _repeated(b'"id":"x",', _MEMBERS)
    escaped = good().replace(b'"truck_number":null', b'"truck_number":"' + b"\\u0041" * 350_000 + b'"')
    odd = {f"odd{number}": number for number in range(60)}
    lines = b"1\n" * (_REFUSED + 600)
    return [
        Limited("records", "too-many-records", JSON, b"[" + b"{}," * _RECORDS + b"{}]"),
        Limited("short records", "too-many-records", JSON, b"[" + b"1," * _RECORDS + b"1]"),
        Limited("blank lines", "too-many-records", LINES, b"\n" * (4 * _RECORDS + 1) + good()),
        Limited("bytes of a record", "record-too-large", JSON, escaped),
        Limited("bytes of a line", "record-too-large", LINES, escaped),
        Limited("members", "record-too-complex", JSON, members),
        Limited("members of a line", "record-too-complex", LINES, members),
        Limited("members of an element", "record-too-complex", JSON, b"[" + members + b"]"),
        Limited("brackets", "record-too-complex", JSON, good()[:-1] + b',"headers":[' + b"[]," * 300_000 + b"1]}"),
        Limited("refused", "too-many-refused", LINES, lines + good()),
        Limited("errors", "invalid-record", LINES, b"\n".join([orjson.dumps(event() | odd)] * 300)),
        Limited(
            "headers", "invalid-record", JSON, orjson.dumps(event() | {"headers": {f"h{n}": "" for n in range(101)}})
        ),
        Limited("inflated bytes", "body-too-large", _packed(JSON), gzip.compress(good()) + _blank(_BODY_BYTES)),
        Limited(
            "inflated lines", "body-too-large", _packed(LINES), _blank(_BODY_BYTES) + gzip.compress(b"\n" + good())
        ),
        Limited("gzip members", "broken-body", _packed(JSON), gzip.compress(b"") * 1_000 + gzip.compress(good())),
    ]


def _commands() -> list[Limited]:
    def yard() -> bytes:
        return orjson.dumps({"email": f"{uuid.uuid4().hex}@hostile.example", "display_name": "Hostile"})

    def keyed() -> dict[str, str]:
        return JSON | {"Idempotency-Key": uuid.uuid4().hex}

    many = b"{" + b'"country":null,' * _COMMAND_MEMBERS + yard()[1:]
    return [
        Limited("bytes of a command", "body-too-large", keyed(), yard() + b" " * _COMMAND_BYTES, "/yards"),
        Limited("members of a command", "body-too-large", keyed(), many, "/yards"),
        Limited("page", "invalid", {}, b"", "/yards?limit=501", "GET"),
        Limited("page of topics", "invalid", {}, b"", "/topics?limit=501", "GET"),
    ]


def cloud(event_type: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A whole CloudEvent."""
    head = {"specversion": "1.0", "id": uuid.uuid4().hex, "source": "/somebody", "type": event_type}
    return head | more | {"data": value}


def binary(event_type: str, value: dict[str, Any], **more: str) -> tuple[dict[str, str], bytes]:
    """The same in binary mode: headers and body."""
    attributes = {name: text for name, text in cloud(event_type, value, **more).items() if name != "data"}
    return JSON | {f"ce-{name}": text for name, text in attributes.items()}, orjson.dumps(value)


def _rules() -> list[Limited]:
    versioned = cloud(DEPARTED, haul("H"), sequence="2")
    return [
        Limited("version", "invalid-record", CLOUD, orjson.dumps(versioned)),
        Limited("version in a batch", "invalid-record", BATCH, orjson.dumps([versioned])),
        Limited("version in binary mode", "invalid-record", *binary(DEPARTED, haul("H"), sequence="2")),
        Limited("mark of a post", "invalid-record", JSON, orjson.dumps(event() | {"headers": {"atlas_post": "x/0"}})),
        Limited("another key", "invalid-record", JSON, orjson.dumps(event() | {"key": "other"})),
        Limited("long id", "invalid-record", JSON, orjson.dumps(event() | {"id": "x" * 256})),
        Limited("another site", "foreign-origin", JSON | {"Origin": "http://elsewhere.example"}, good()),
        Limited("another host", "unknown-host", JSON | {"Host": "elsewhere.example"}, good()),
        Limited("page's type", "unsupported-media-type", {"Content-Type": "text/plain"}, good()),
    ]


KINDS: tuple[Callable[[], list[Limited]], ...] = (_sizes, _commands, _rules)


async def send_limited(client: HostileClient) -> None:
    """Each of these requests once, and one under an Idempotency-Key that belongs to another."""
    for make in KINDS:
        for request in await asyncio.to_thread(make):
            await send_one(client, request)
    key = uuid.uuid4().hex
    first = haul()
    record = orjson.dumps({"type": DEPARTED, "value": first})
    status, answer = await client.ask("POST", POST, JSON | {"Idempotency-Key": key}, record)
    if status == 200:
        client.ledger.hauls.add(first["haul_id"])
    else:
        client.ledger.note_broken("first of a key", f"{status} {answer}")
    await send_one(client, Limited("key again", "idempotency-key-reused", JSON | {"Idempotency-Key": key}, good()))


async def send_one(client: HostileClient, request: Limited) -> None:
    """Note whether it got its problem, and no more words than there may be."""
    status, answer = await client.ask(request.method, request.path, request.headers, request.body)
    errors = [result["error"] for result in answer.get("results", ()) if "error" in result]
    said = {answer.get("type"), *(error.get("type") for error in errors)}
    listed = [len(error.get("errors", ())) for error in errors]
    refused = 400 <= status < 500 and f"urn:atlas:problem:{request.slug}" in said and not answer.get("succeeded")
    if refused and sum(listed) <= _ERRORS and max(listed, default=0) <= _ERRORS_EACH:
        client.ledger.refuse("limited request")
        return
    shown = {name: answer[name] for name in ("title", "detail", "succeeded", "error", "id") if name in answer}
    client.ledger.note_broken(
        f"limit: {request.kind}", f"{status}, {sum(listed)} errors, expected {request.slug}: {shown}"
    )
