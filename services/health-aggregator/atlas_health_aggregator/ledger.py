"""The ledger as the aggregator keeps it: taken every few seconds, shown at /ledger and in /metrics.

    app.serve()  →  LedgerWatch.run()  →  Auditor.take()

What there is to know of the stores atlas_ledger reads; here nothing is known of them.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager

import orjson
import structlog
from aiohttp import web
from atlas_contracts.canary import carriers
from atlas_contracts.topics import Topic
from atlas_contracts.values.timestamps import rfc3339
from atlas_errors.policy import Fate, describe, fate_of
from atlas_ledger.audit import Auditor, Ledger, Sources, open_auditor, rank
from atlas_ledger.lines import Line
from atlas_runtime.serving.http_server import document
from atlas_runtime.serving.paging import NoPage, page
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from atlas_health_aggregator.settings import HealthAggregatorSettings

log = structlog.get_logger(__name__)


class LedgerWatch:
    """Takes a ledger of `topics` every `interval_s` (0: never); the last one stands while none can be taken."""

    def __init__(self, sources: Sources, topics: Collection[str], interval_s: float) -> None:
        self._sources = sources
        self._topics = topics
        self._interval_s = interval_s
        self.ledger = Ledger(0)
        self._trouble: str | None = None

    async def check(self) -> str | None:
        """Why the last round came to nothing; None where it came to something, or there was none yet."""
        return self._trouble

    async def run(self) -> None:
        """Until cancelled, whatever a round fails of: who is alive is judged all the same. At once where it is off."""
        while self._interval_s:
            try:
                async with open_auditor(self._sources) as auditor:
                    await self._keep(auditor)
            except Exception as error:  # noqa: BLE001 - said, and tried again
                self._failed(error)
            await asyncio.sleep(self._interval_s)

    async def _keep(self, auditor: Auditor) -> None:
        while True:
            try:
                self.ledger = await auditor.take(self._topics)
                self._trouble = None
            except Exception as error:  # noqa: BLE001 - said, and tried again
                self._failed(error)
            await asyncio.sleep(self._interval_s)

    def _failed(self, error: Exception) -> None:
        self._trouble = f"not taken: {describe(error)}"
        log.warning("ledger not taken", error=describe(error), exc_info=fate_of(error) is not Fate.TRANSIENT)

    def routes(self) -> list[web.RouteDef]:
        """GET /ledger: the lines, worst first, in pages; 503 before the first round came to something."""

        async def ledger(request: web.Request) -> web.Response:
            taken = self.ledger
            if not taken.taken_at:
                return document(
                    503, f"The ledger was not taken yet: {self._trouble or 'the first round is under way'}."
                )
            topic = request.query.get("topic")
            try:
                lines = [line for line in taken.lines if topic in (None, line.topic)]
                items, next_cursor = page(request.query, lines, rank)
            except NoPage as error:
                return document(422, f"{error}.")
            answer = {
                "taken_at": rfc3339(taken.taken_at),
                "unaccounted": taken.unaccounted,
                "items": [line.as_json() for line in items],
                "next_cursor": next_cursor,
                "outbox": [rows.as_json() for rows in taken.outbox if topic in (None, rows.topic)],
            }
            return web.Response(body=orjson.dumps(answer), content_type="application/json")

        return [web.get("/ledger", ledger)]


def watch_of(settings: HealthAggregatorSettings, topics: Mapping[str, Topic]) -> LedgerWatch:
    """As the settings say; of canaries no account is kept, for those in the archive are given up."""
    kept = topics.keys() - carriers(topics.values())
    sources = Sources(
        brokers=settings.kafka_brokers,
        state_dsn=settings.postgres_dsn.get_secret_value(),
        readmodel_dsn=settings.readmodel_dsn.get_secret_value(),
        archive=settings.s3_address(),
        excluded=settings.not_archived,
        client_id=f"{settings.instance}-ledger",
    )
    return LedgerWatch(sources, kept, settings.health_ledger_interval_s)


@contextmanager
def exposed_ledger(watch: LedgerWatch) -> Iterator[None]:
    """Within the block /metrics has the ledger, by topic and group."""
    collector = _LedgerCollector(watch)
    REGISTRY.register(collector)
    try:
        yield
    finally:
        REGISTRY.unregister(collector)


class _LedgerCollector(Collector):
    def __init__(self, watch: LedgerWatch) -> None:
        self._watch = watch

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        ledger = self._watch.ledger
        if not ledger.taken_at:
            return
        age = GaugeMetricFamily("atlas_ledger_age_seconds", "Age of the ledger's figures")
        age.add_metric([], max(0.0, time.time() - ledger.taken_at / 1000))
        yield age
        took = GaugeMetricFamily("atlas_ledger_round_seconds", "How long the last round of the ledger took")
        took.add_metric([], ledger.took_s)
        yield took
        yield from _sums(ledger)
        yield _outbox(ledger)


def _sums(ledger: Ledger) -> Iterable[Metric]:
    unaccounted = GaugeMetricFamily(
        "atlas_ledger_unaccounted_records",
        "Records of which nobody can say what became, at least; 0 is good",
        labels=["topic", "group"],
    )
    unproven = GaugeMetricFamily(
        "atlas_ledger_unproven_records",
        "So many more could be: what lies between two counts was not counted yet",
        labels=["topic", "group"],
    )
    in_flight = GaugeMetricFamily(
        "atlas_ledger_in_flight_records", "Records that a group has still to take", labels=["topic", "group"]
    )
    handled = GaugeMetricFamily(
        "atlas_ledger_records", "Records by what a group made of them", labels=["topic", "group", "outcome"]
    )
    of: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in ledger.lines:
        of[line.topic, line.group].append(line)
    for place, lines in of.items():
        unaccounted.add_metric(place, sum(line.unaccounted for line in lines))
        unproven.add_metric(place, sum(line.unproven for line in lines))
        in_flight.add_metric(place, sum(line.in_flight for line in lines))
        outcomes: Counter[str] = Counter()
        for line in lines:
            outcomes.update(line.outcomes)
        for outcome, records in outcomes.items():
            handled.add_metric([*place, outcome], records)
    return unaccounted, unproven, in_flight, handled


def _outbox(ledger: Ledger) -> Metric:
    rows = GaugeMetricFamily(
        "atlas_ledger_outbox_rows",
        "Rows of the outbox, by topic: waiting to be sent, parked",
        labels=["topic", "state"],
    )
    for each in ledger.outbox:
        rows.add_metric([each.topic, "waiting"], each.waiting)
        rows.add_metric([each.topic, "parked"], each.parked)
    return rows
