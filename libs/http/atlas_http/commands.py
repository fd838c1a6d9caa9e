"""What every command does around its own work: once a key, the event beside the state, the nudge after the commit."""

import asyncio
import json
from decimal import Decimal
from typing import Any, NamedTuple

import orjson
from aiohttp import web
from atlas_contracts.headers import cloud_event_headers
from atlas_contracts.topics import Source, Topic
from atlas_outbox.writer import OutboxRecord, append
from atlas_runtime.metrics import timed_query
from atlas_runtime.observing import traces
from pydantic import BaseModel

from atlas_http import idempotency
from atlas_http.idempotency import Connection, Effect
from atlas_http.resources import RESOURCES, Resources

# Where events come from that a command tells of, and those posted without a word about it.
SOURCE = "/atlas/gateway"


class Of(NamedTuple):
    """Which entity an event is of, its version after it (from 1, without gaps), and when it happened (UTC, ms)."""

    subject: str
    version: int
    time_ms: int


class WrongSource(Exception):
    """A command emits an event on a topic that is not the outbox's own: a fault of the program, not of the request."""

    def __init__(self, topic: Topic, event_type: str) -> None:
        super().__init__(
            f"{event_type} is emitted by a command, but topics.yaml says of its topic {topic.name} "
            f"`source: {topic.source}`, so others may put events on it; give it `source: {Source.OUTBOX}`"
        )


async def run(request: web.Request, body: BaseModel, effect: Effect) -> web.Response:
    """The transaction of `effect`, then, after its commit, the nudge that lets the relay send within milliseconds.

    With an Idempotency-Key the effect happens once, and a repeat gets the same answer.
    """
    resources = request.app[RESOURCES]
    settings = resources.settings
    once = idempotency.of_request(request, canonical(body), settings.gateway_caller_header)
    async with asyncio.timeout(settings.gateway_postgres_timeout_s * 2):
        answer = await idempotency.run(resources.pool, once, effect, settings.gateway_idempotency_ttl_s)
    resources.waker.nudge()
    return answer.response()


def canonical(body: BaseModel) -> bytes:
    """What the body means, whatever types its fields have: the same bytes for the same fields."""
    value = body.model_dump(include=body.model_fields_set)
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError:  # an integer of more than 64 bits, half of a surrogate pair
        return json.dumps(value, default=_plain, sort_keys=True).encode()


def _plain(value: Any) -> Any:
    """A Decimal as its digits, a set in order, whatever else as it shows itself."""
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    return str(value) if isinstance(value, Decimal) else repr(value)


async def emit(connection: Connection, resources: Resources, event_type: str, value: dict[str, Any], of: Of) -> None:
    """Append an event to the outbox, in the transaction of the state it tells of.

    Hold the entity's row lock: then the order of its events is that of its versions. Raises InvalidEvent when the value
    does not fit the schema, and WrongSource when others may put events on the topic; nothing is written then.
    """
    topic = resources.registry.topic_of(event_type)
    if topic.source is not Source.OUTBOX:
        raise WrongSource(topic, event_type)
    headers = cloud_event_headers(
        event_type=event_type,
        source=SOURCE,
        subject=of.subject,
        time_ms=of.time_ms,
        sequence=of.version,
        trace=traces.headers(),
    )
    framed = resources.codec.encode(event_type, value)
    with timed_query("outbox.append"):
        key = _key(resources, topic, event_type, value, framed)
        await append(connection, OutboxRecord(topic.name, key, framed, headers))


def _key(resources: Resources, topic: Topic, event_type: str, value: dict[str, Any], framed: bytes) -> bytes:
    """Topics of the outbox have their keys in their values: `checks` sees to it."""
    find = resources.codec.key(topic, event_type)
    assert find is not None
    return find(value, framed)
