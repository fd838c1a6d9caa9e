"""GET /topics: what is on which topic, and how the topic is not as declared."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson
from aiohttp import web
from aiokafka.errors import KafkaError
from atlas_contracts.topics import Topic
from atlas_http.routes import JSON, Route, answer
from atlas_kafka.cluster.admin import TopicSpec
from atlas_kafka.cluster.topic_state import TopicState, differences, topic_states

from atlas_gateway.opened import GATEWAY, Gateway
from atlas_gateway.paging import asked_page, parameters

# Whoever lists the topics need not wait for a Kafka that is away.
STATES_TIMEOUT_S = 2.0


async def list_topics(request: web.Request) -> web.Response:
    """Topics by name, page by page, with event types and keys; events can be posted to those whose `source` is `any`.

    Partitions and retention are those that there are; `differs` says how they are not as declared, and is null while
    Kafka does not say.
    """
    resources = request.app[GATEWAY]
    topics = sorted(resources.registry.topics.values(), key=_name)
    wanted, next_cursor = asked_page(request, topics, lambda topic: (topic.name,))
    items = await _items(resources, wanted)
    return web.Response(body=orjson.dumps({"items": items, "next_cursor": next_cursor}), content_type=JSON)


async def _items(resources: Gateway, wanted: Sequence[Topic]) -> list[dict[str, Any]]:
    specs = {spec.name: spec for spec in (TopicSpec(*topic) for topic in resources.registry.kafka_topics())}
    states: Mapping[str, TopicState] | None = None
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(STATES_TIMEOUT_S):
            states = await topic_states(resources.producer.client, [topic.name for topic in wanted])
    listed = []
    for topic in wanted:
        state = None if states is None else states.get(topic.name)
        shown = {
            "name": topic.name,
            "source": topic.source.value,
            "partitions": None if state is None else state.partitions,
            "retention_ms": None if state is None else int(state.config["retention.ms"]),
            "events": {event: rule or None for event, rule in topic.key.items()},
            "differs": None if states is None else differences(specs[topic.name], state),
        }
        listed.append(shown)
    return listed


def _name(topic: Topic) -> str:
    return topic.name


ROUTES = (
    Route(
        "GET", "/topics", list_topics, "events", "List the topics", parameters(),
        responses=answer(200, "A page of topics", {"type": "object"}), problems=(422,),
    ),
)  # fmt: skip
