"""Events that need no state: POST /topics/{topic}, straight to Kafka with acks=all."""

from typing import Any

import orjson
from aiohttp import web
from atlas_contracts.registry import Registry
from atlas_contracts.topics import Topic
from atlas_readmodel.token import Token
from atlas_runtime.traces import traceparent
from prometheus_client import Counter

from atlas_gateway.incoming import require_type
from atlas_gateway.problems import BROKEN_JSON, INVALID, UNAVAILABLE, UNKNOWN_TOPIC, Problem
from atlas_gateway.production import Production
from atlas_gateway.records import Maker
from atlas_gateway.resources import RESOURCES
from atlas_gateway.routes import JSON, Part, Route, answer, path_parameter, problem, ref
from atlas_gateway.sources import FORMS

TOKEN = "Atlas-Token"
REFUSED = Counter(
    "atlas_gateway_records_refused_total", "Posted records that did not get to Kafka", ["topic", "reason"]
)


async def post_events(request: web.Request) -> web.Response:
    """Put one or many events on a topic; answered when the broker has them.

    1. each record is checked and encoded, group by group, while the body is read
    2. each group is sent with acks=all, in order, while the next one is made
    3. the answer, when every record has its result, says per record where it is or what is wrong with it
    """
    resources = request.app[RESOURCES]
    topic = _topic(resources.registry, request.match_info["topic"])
    groups, form = FORMS[require_type(request, tuple(FORMS))]
    maker = Maker(topic, resources.codec, traceparent(), form)
    production = Production(resources.producer, resources.settings.gateway_produce_timeout_s)
    cut: Problem | None = None
    try:
        async for items in groups(request, resources.settings.gateway_body_max_bytes):
            await production.put(maker.make(items))  # 1. and 2.
    except Problem as problem:
        cut = problem
    finally:
        await production.finish()
    for refused in production.refusals:
        REFUSED.labels(topic.name, refused.kind.slug).inc()
    return _answer(production, cut)  # 3.


async def list_topics(request: web.Request) -> web.Response:
    """The topics that events can be posted to, with their event types and keys."""
    registry = request.app[RESOURCES].registry
    listed = [
        {
            "name": topic.name,
            "partitions": topic.partitions,
            "retention_ms": topic.retention_ms,
            "events": dict(topic.key),
        }
        for topic in registry.topics.values()
    ]
    return web.Response(body=orjson.dumps({"topics": listed}), content_type=JSON)


def routes(registry: Registry) -> tuple[Route, ...]:
    types = [event_type for topic in registry.topics.values() for event_type in topic.events]
    record: Part = {"oneOf": [ref(f"{event_type}.Record") for event_type in types]}
    cloud: Part = {"type": "object", "required": ["specversion", "id", "source", "type", "data"]}
    content = {
        JSON: {"schema": {"anyOf": [record, {"type": "array", "items": record}]}},
        "application/x-ndjson": {"schema": {"type": "string", "description": "A record a line"}},
        "application/cloudevents+json": {"schema": cloud},
        "application/cloudevents-batch+json": {"schema": {"type": "array", "items": cloud}},
    }
    topic = path_parameter("topic", {"type": "string", "enum": list(registry.topics)})
    token = {TOKEN: "Send it with a query that has to see these records"}
    posted = ref("Posted")
    return (
        Route(
            "GET", "/topics", list_topics, "events", "List the topics",
            responses=answer(200, "The topics", {"type": "object"}),
        ),
        Route(
            "POST", "/topics/{topic}", post_events, "events", "Put events on a topic",
            parameters=(topic,), body={"required": True, "content": content},
            responses={
                **answer(200, "Every record is on the topic", posted, headers=token),
                **answer(207, "Some are, some are not: see each result", posted, headers=token),
                "422": problem("None could be taken; `results` says why"),
                "503": problem("Kafka is not available; `results` says what is unknown"),
            },
            problems=(400, 404, 413, 415),
        ),
    )  # fmt: skip


def _topic(registry: Registry, name: str) -> Topic:
    try:
        return registry.topics[name]
    except KeyError:
        known = list(registry.topics)
        raise Problem(UNKNOWN_TOPIC, f"There is no topic {name}; there are {', '.join(known)}.", topics=known) from None


def _answer(production: Production, cut: Problem | None) -> web.Response:
    """200: all there; 207: some; 422: none, for what they are; 503: none, for Kafka. 4xx of the body as a whole."""
    failed = len(production.refusals)
    results: dict[str, Any] = {
        "results": production.results,
        "succeeded": production.succeeded,
        "failed": failed,
    }
    headers = {TOKEN: str(Token.of_records(production.highest))} if production.highest else {}
    if cut is not None:
        # Records that were acknowledged before the body turned out to be too long are not taken back.
        raise Problem(
            cut.kind, str(cut), headers=cut.headers | headers, **cut.members, **(results if production.results else {})
        )
    if failed and not production.succeeded:
        raise _none_succeeded(production, results)
    return web.Response(status=207 if failed else 200, body=orjson.dumps(results), content_type=JSON, headers=headers)


def _none_succeeded(production: Production, results: dict[str, Any]) -> Problem:
    first = production.refusals[0]
    if all(refused.kind is BROKEN_JSON for refused in production.refusals):
        where = {name: first.error[name] for name in ("line", "element", "column") if name in first.error}
        return Problem(BROKEN_JSON, f"{first}.", **where, **results)
    if any(refused.kind.status >= 500 for refused in production.refusals):
        return Problem(UNAVAILABLE, f"No record is on the topic: {first}", headers={"Retry-After": "1"}, **results)
    count = len(production.refusals)
    detail = str(first) if count == 1 else f"None of the {count} records could be taken; see results."
    return Problem(INVALID, detail, errors=first.error.get("errors", ()) if count == 1 else (), **results)
