"""Sends canaries and follows each to the end of its way.

app.serve()  →  Prober.run()  →  one a second: a command, an event  →  Gateway
                              →  TopicWatch, queries, commits of the archiver  →  Journeys.reach
                              →  Journeys.judge  →  Telling
"""

import asyncio
import re
import time
from collections.abc import Mapping

import aiohttp
import structlog
from atlas_contracts.canary import COMMANDED, POSTED
from atlas_contracts.codec import Codec
from atlas_contracts.errors import Undecodable
from atlas_contracts.registry import Registry
from atlas_errors.backoff import Backoff
from atlas_errors.policy import describe

from atlas_health_aggregator.canary.gateway import Gateway, Unanswered
from atlas_health_aggregator.canary.journeys import (
    ACCEPTED,
    ARCHIVE,
    ARCHIVED,
    COMMAND,
    EVENT,
    ON_TOPIC,
    PROJECTED,
    VISIBLE,
    Journeys,
    Place,
)
from atlas_health_aggregator.canary.telling import Telling
from atlas_health_aggregator.canary.watching import TopicWatch, watch_commits
from atlas_health_aggregator.lag import ARCHIVER
from atlas_health_aggregator.settings import HealthAggregatorSettings

SENT = (COMMAND, EVENT)
JUDGE_EVERY_S = 0.5
# Between two looks at what is not there yet.
LOOK_FIRST_S = 0.05
LOOK_MAX_S = 1.0
FAILED_FIRST_S = 5.0
FAILED_MAX_S = 60.0
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9_.-]")
_NAME_MAX = 120

log = structlog.get_logger(__name__)


class Prober:
    """Canaries of one aggregator. Their ids have its instance, so nobody else's are taken for them."""

    def __init__(self, settings: HealthAggregatorSettings, registry: Registry, codec: Codec) -> None:
        name = _NOT_IN_AN_ID.sub("-", settings.instance)[:_NAME_MAX]
        self._settings = settings
        self._codec = codec
        self._ids = {way: f"{name}.{way}" for way in SENT}
        self._ways = {canary_id: way for way, canary_id in self._ids.items()}
        self._topics = {COMMAND: registry.topic_of(COMMANDED).name, EVENT: registry.topic_of(POSTED).name}
        self._telling = Telling()
        self._journeys = Journeys(settings.canary_within, self._telling)
        self._arrived = {way: asyncio.Event() for way in SENT}
        self._last_number = 0

    async def run(self) -> None:
        """Until cancelled; what is on its way then is forgotten. Nothing that goes wrong here ends the aggregator."""
        backoff = Backoff(FAILED_FIRST_S, FAILED_MAX_S)
        while True:
            try:
                await self._run()
            except Exception as error:  # who is alive and how far consumers lag is told all the same
                self._journeys.forget()
                log.error("canaries failed", error=describe(error), exc_info=error)
                await asyncio.sleep(backoff.next_s())

    async def _run(self) -> None:
        settings = self._settings
        watch = TopicWatch(settings.kafka_brokers, f"{settings.instance}-canary", self._topics.values())
        timeout = aiohttp.ClientTimeout(total=settings.health_canary_accepted_s)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as tasks:
            gateway = Gateway(session, settings.gateway_url)
            tasks.create_task(watch.run(self._on_record, self._topic_overdue, self._on_look))
            tasks.create_task(
                watch_commits(
                    settings.kafka_brokers,
                    f"{settings.instance}-canary",
                    ARCHIVER,
                    self._to_be_archived,
                    self._on_commits,
                )
            )
            for way in SENT:
                tasks.create_task(self._query(gateway, way))
            tasks.create_task(self._judge())
            await watch.began.wait()
            while True:
                for way in SENT:
                    tasks.create_task(self._send(gateway, way))
                await asyncio.sleep(settings.health_canary_interval_s)

    async def _send(self, gateway: Gateway, way: str) -> None:
        number = self._last_number = max(self._last_number + 1, time.time_ns() // 1000)
        self._journeys.sent(way, number, time.monotonic())
        try:
            if way == COMMAND:
                await gateway.command(self._ids[way], number)
            else:
                await gateway.post(self._topics[way], self._ids[way], number)
        except Unanswered as error:
            self._telling.reason = str(error)
            self._journeys.refused(way, number)
        else:
            self._journeys.reach(way, number, ACCEPTED, time.monotonic())

    async def _query(self, gateway: Gateway, way: str) -> None:
        """Look for what is on its topic, again and again while there is something that queries do not show."""
        backoff = Backoff(LOOK_FIRST_S, LOOK_MAX_S)
        while True:
            if not self._journeys.waiting(way, PROJECTED) and not self._journeys.waiting(way, VISIBLE):
                self._arrived[way].clear()
                await self._arrived[way].wait()
            try:
                came = await self._look(gateway, way)
            except Unanswered as error:
                self._telling.reason, came = str(error), False
            if came:
                backoff.reset()
            else:
                await asyncio.sleep(backoff.next_s())

    async def _look(self, gateway: Gateway, way: str) -> bool:
        """Whether one has come a stage further. Positions rise, so the first that is not passed speaks for the rest."""
        came, journeys = False, self._journeys
        if waiting := journeys.waiting(way, PROJECTED):
            began, first = time.monotonic(), min(waiting, key=lambda journey: journey.offset)
            assert first.place is not None, "it was on its topic"
            if await gateway.passed(first.place):
                came = journeys.reach(way, first.number, PROJECTED, time.monotonic())
            else:
                journeys.looked(way, PROJECTED, began)
        if waiting := journeys.waiting(way, VISIBLE):
            began, seen = time.monotonic(), await gateway.seen(self._ids[way])
            for journey in waiting:
                if journey.number in seen:
                    came |= journeys.reach(way, journey.number, VISIBLE, time.monotonic())
            journeys.looked(way, VISIBLE, began)
        return came

    def _on_record(self, place: Place, value: bytes | None) -> None:
        try:
            found = self._codec.decode(value).value
            way, number = self._ways[found["canary_id"]], int(found["number"])
        except (Undecodable, KeyError, TypeError):
            return  # another's, or no canary at all: anybody may post to the topic of events
        journey, now = self._journeys.find(way, number), time.monotonic()
        if journey is not None and self._journeys.reach(way, number, ON_TOPIC, now, place):
            self._arrived[way].set()
            if way == EVENT:
                self._journeys.sent(ARCHIVE, number, journey.sent_at, since=now, place=place)

    def _topic_overdue(self, now: float) -> bool:
        return any(self._journeys.overdue(way, ON_TOPIC, now) for way in SENT)

    def _on_look(self, began: float) -> None:
        for way in SENT:
            self._journeys.looked(way, ON_TOPIC, began)

    def _to_be_archived(self) -> list[Place]:
        return [journey.place for journey in self._journeys.waiting(ARCHIVE, ARCHIVED) if journey.place is not None]

    def _on_commits(self, commits: Mapping[tuple[str, int], int], began: float) -> None:
        for journey in self._journeys.waiting(ARCHIVE, ARCHIVED):
            if journey.place is not None and commits.get(journey.place[:2], -1) > journey.offset:
                self._journeys.reach(ARCHIVE, journey.number, ARCHIVED, time.monotonic())
        self._journeys.looked(ARCHIVE, ARCHIVED, began)

    async def _judge(self) -> None:
        while True:
            self._journeys.judge(time.monotonic())
            await asyncio.sleep(JUDGE_EVERY_S)
