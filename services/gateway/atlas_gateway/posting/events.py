"""Events that need no state: POST /topics/{topic}, straight to Kafka with acks=all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from aiohttp import hdrs, web
from atlas_contracts.registry import Registry
from atlas_contracts.topics import Topic
from atlas_http import idempotency
from atlas_http.idempotency import Answer, Once
from atlas_http.incoming import chunks, require_type
from atlas_http.problems import BROKEN_JSON, INVALID, UNAVAILABLE, Problem, unavailable
from atlas_http.routes import JSON, Part, Route, answer, path_parameter, problem, ref
from atlas_readmodel.token import Token
from atlas_runtime.observing import traces
from prometheus_client import Counter, Histogram

from atlas_gateway.limits import Intake, Limits
from atlas_gateway.opened import GATEWAY, Gateway
from atlas_gateway.posting import binary_mode
from atlas_gateway.posting.binary_mode import fingerprint, is_binary
from atlas_gateway.posting.parsing import parse_of
from atlas_gateway.posting.posts import Attempt
from atlas_gateway.posting.production import Group, Production
from atlas_gateway.posting.records import Maker
from atlas_gateway.posting.sources import FORMS, document
from atlas_gateway.posting.topic_access import describe_access, open_topic, open_topics

TOKEN = "Atlas-Token"
REFUSED = Counter(
    "atlas_gateway_records_refused_total", "Posted records that did not get to Kafka", ["topic", "reason"]
)

POSTED = Histogram(
    "atlas_gateway_post_records",
    "Records that one request had, those that were refused too",
    ["topic"],
    buckets=(1, 10, 100, 500, 1000, 5000, 10_000, 50_000),
)


async def post_events(request: web.Request) -> web.Response:
    """Put one or many events on a topic; answered when the broker has them.

    1. each record is checked and encoded, group by group, while the body is read
    2. each group is sent with acks=all, in order, while the next one is made
    3. the answer, when every record has its result, says per record where it is or what is wrong with it

    CloudEvents come in structured mode, in batches, or in binary mode, where `ce-*` headers hold the attributes.
    With an Idempotency-Key the body is read first, and what an earlier attempt has put on the topic is not sent again.
    """
    resources = request.app[GATEWAY]
    topic = open_topic(resources.registry, request.match_info["topic"])
    if is_binary(request):
        groups, form = binary_mode.form(request, document)
    else:
        groups, form = FORMS[require_type(request, tuple(FORMS))]
    maker = Maker(
        topic,
        resources.codec,
        traces.headers(),
        form,
        resources.settings.gateway_time_max_ahead_s,
    )
    limit, limits = resources.settings.gateway_body_max_bytes, Limits.of(resources.settings)
    loads = parse_of(topic, resources.codec)
    if idempotency.HEADER in request.headers:
        pieces = [chunk async for chunk in chunks(request, limit)]
        head = request.content_type.encode() + fingerprint(request) + b"\n"
        once = await idempotency.of_pieces(request, [head, *pieces], resources.settings.gateway_caller_header)
        assert once is not None, "the header is there"
        return await _post_once(resources, once, topic, maker, groups(_again(pieces), limits, loads))
    production = Production(resources.producer, resources.settings.gateway_produce_timeout_s)
    arriving = groups(chunks(request, limit), limits, loads)
    cut = await _produce(production, maker, arriving, Intake(limits), arrived=request.content.is_eof)
    return _answer(production, cut).response()  # 3.


async def _produce(
    production: Production,
    maker: Maker,
    groups: AsyncIterator[list[Any]],
    intake: Intake,
    attempt: Attempt | None = None,
    arrived: Callable[[], bool] = lambda: True,
) -> Problem | None:
    """Send what the groups hold and wait for every result; what ended the body before its end, if anything did.

    `arrived`: whether all of the body is there. Then a group waits until it is known whether it is the last one.
    """
    count = 0
    held: Group | None = None
    try:
        async for items in groups:
            if held is not None:
                await production.put(held)
            made: Group = [*await maker.make_aside(intake.admit(items))]  # 1.
            intake.count(made)
            held = attempt.left(made, count) if attempt else made
            count += len(made)
            if not arrived():
                await production.put(held)  # 2.
                held = None
            if intake.ended is not None:
                return intake.ended
    except Problem as problem:
        return problem
    finally:
        await production.finish(held)  # 2.
        for refused in production.refusals:
            REFUSED.labels(maker.topic, refused.kind.slug).inc()
        POSTED.labels(maker.topic).observe(count)
    return None


async def _post_once(
    resources: Gateway, once: Once, topic: Topic, maker: Maker, groups: AsyncIterator[list[Any]]
) -> web.Response:
    """The answer of the post with this key; a 503 problem while Kafka acknowledges nothing, and the post goes on."""
    production = Production(resources.producer, None)

    async def effect(attempt: Attempt) -> tuple[Answer, bool]:
        cut = await _produce(production, maker, groups, Intake(Limits.of(resources.settings)), attempt)
        try:
            answer = _answer(production, cut)
        except Problem as refusal:
            answer = idempotency.of_refusal(refusal)
        return answer, not any(refused.kind.status >= 500 for refused in production.refusals)

    post = resources.posts.start(once, topic, effect)
    settled, timeout_s = -1, resources.settings.gateway_produce_timeout_s
    while not post.done() and settled < len(production.results):
        settled = len(production.results)
        await asyncio.wait({post}, timeout=timeout_s)
    if not post.done():
        detail = (
            f"No acknowledgement within {timeout_s:g} s; send the request again with the same {idempotency.HEADER}."
        )
        raise unavailable(detail)
    return post.result().response()


async def _again(pieces: list[bytes]) -> AsyncIterator[bytes]:
    """The pieces of a body that has been read."""
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)


def routes(registry: Registry) -> tuple[Route, ...]:
    takers = open_topics(registry.topics.values())
    types = list(dict.fromkeys(event_type for topic in takers for event_type in topic.events))
    record: Part = {"oneOf": [ref(f"{event_type}.Record") for event_type in types]} if types else {"type": "object"}
    cloud: Part = {"type": "object", "required": ["specversion", "id", "source", "type", "data"]}
    content = {
        JSON: {"schema": {"anyOf": [record, {"type": "array", "items": record}]}},
        "application/x-ndjson": {"schema": {"type": "string", "description": "A record a line"}},
        "application/cloudevents+json": {"schema": cloud},
        "application/cloudevents-batch+json": {"schema": {"type": "array", "items": cloud}},
    }
    named: Part = {"type": "string", "enum": [topic.name for topic in takers]} if takers else {"type": "string"}
    topic = path_parameter("topic", named, describe_access(registry.topics.values()))
    token = {TOKEN: "Send it with a query that has to see these records"}
    posted = ref("Posted")
    return (
        Route(
            "POST", "/topics/{topic}", post_events, "events", "Put events on a topic",
            parameters=(topic, idempotency.KEY_PARAMETER), body={"required": True, "content": content},
            responses={
                **answer(200, "Every record is on the topic", posted, headers=token),
                **answer(207, "Some are, some are not: see each result", posted, headers=token),
                "422": problem("None could be taken; `results` says why"),
                "503": problem("Kafka is not available; `results` says what is unknown"),
            },
            problems=(400, 403, 404, 409, 413, 415),
        ),
    )  # fmt: skip


def _answer(production: Production, cut: Problem | None) -> Answer:
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
    return Answer(207 if failed else 200, orjson.dumps(results), {**headers, hdrs.CONTENT_TYPE: JSON})


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
