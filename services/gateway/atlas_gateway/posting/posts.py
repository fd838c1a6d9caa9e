"""Posting under an Idempotency-Key: each record is on its topic once, also when an attempt was cut off half way.

Kafka and PostgreSQL share no transaction, so what an attempt is about to do is written down before it, and what it has
done is looked for on the topic when nobody can say any more: each record carries a mark that no other post has.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_contracts.topics import Topic
from atlas_errors.backoff import retrying
from atlas_errors.policy import describe
from atlas_http import idempotency
from atlas_http.idempotency import Answer, Connection, Once
from atlas_http.problems import IN_PROGRESS, Problem, unavailable
from atlas_http.resources import Pool
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_kafka.fetching.foreignrecords import accept_foreign_records
from atlas_kafka.producing.producer import Delivery, Outgoing
from atlas_kafka.starting import start_whole
from atlas_runtime.metrics import timed_query

from atlas_gateway.posting.production import Group
from atlas_gateway.settings import GatewaySettings

MARK = "atlas_post"
# Each post in progress holds a connection; commands must find some left while posts wait for a broker that is away.
_AT_ONCE = 3
_CLIENT_ID = "atlas-gateway-posts"

# Of a transaction that stays open, not of the session: a pooler keeps a session for as long as a transaction is open.
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended($2, hashtextextended($1, 0)))"
_PATIENT = "SET LOCAL idle_in_transaction_session_timeout = 0"
_CLAIM = """
INSERT INTO app.idempotency_keys AS held (caller, key, fingerprint, sending, expires_at)
VALUES (
    $1, $2, $3, $4::jsonb || jsonb_build_object('claimed', extract(epoch FROM clock_timestamp())),
    now() + make_interval(secs => $5)
)
ON CONFLICT (caller, key) DO UPDATE SET
    fingerprint = excluded.fingerprint, sending = excluded.sending, status = NULL, headers = NULL, body = NULL,
    expires_at = excluded.expires_at
WHERE held.expires_at <= now()
RETURNING true
"""
_SENDING = """
SELECT sending, extract(epoch FROM clock_timestamp())::float8 AS asked
FROM app.idempotency_keys WHERE caller = $1 AND key = $2 AND fingerprint = $3 AND status IS NULL
"""
# Between its claim and its lock a post holds nothing; for as long as it may be there nobody takes it up.
_FRESH_S = 2.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """How the records of a post are marked, and which of them, by their place in it, are on the topic already."""

    mark: str
    there: Mapping[int, Delivery]

    def left(self, group: Group, first: int) -> Group:
        """The group, whose first record is the post's `first`, marked, and without what need not be sent."""
        return [
            self.there.get(place) or replace(record, headers=[*record.headers, (MARK, f"{self.mark}/{place}".encode())])
            if type(record) is Outgoing
            else record
            for place, record in enumerate(group, start=first)
        ]


# Sends what is left; the answer, and whether it is final: an answer that may be another one next time is not kept.
Effect = Callable[[Attempt], Awaitable[tuple[Answer, bool]]]


class Posts:
    """The posts with a key that this process has in hand, each in a task of its own that outlives its request."""

    def __init__(self, pool: Pool, reader: AIOKafkaConsumer, settings: GatewaySettings) -> None:
        self._pool = pool
        self._reader = reader
        self._brokers = settings.kafka_brokers
        self._ttl_s = settings.gateway_idempotency_ttl_s
        # Less than the request's own, so that its answer can say that nothing was sent.
        self._patience_s = settings.gateway_produce_timeout_s / 2
        self._running: dict[tuple[str, str], asyncio.Task[Answer]] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)

    def start(self, once: Once, topic: Topic, effect: Effect) -> "asyncio.Task[Answer]":
        """Begin the post; a 409 problem while an earlier request's is not settled.

        The task goes on when nobody waits for it any more: until its records are on the topic or known not to be, no
        second attempt may send them.
        """
        if once.owned in self._running:
            raise _in_progress(once)
        task = asyncio.create_task(self._run(once, topic, effect), name=f"post-{once.key}")
        self._running[once.owned] = task
        task.add_done_callback(lambda done: self._ended(once, done))
        return task

    async def _run(self, once: Once, topic: Topic, effect: Effect) -> Answer:
        """Send the records of one post, once.

        1. claim the key: the post's mark and where the topic's partitions end now; another claim stays as it is
        2. lock it, for as long as a transaction is open; what counts is the claim that is found then
        3. when there is an answer, that is it; when an attempt without one may have begun: look for its records
        4. send, marked, what is not on the topic
        5. keep the answer, when it is final

        A crash after 1 leaves a claim without an answer, and whatever part of the records was acknowledged by then. The
        lock is none of the session: a pooler keeps a session for a transaction only. At no time does a post hold one
        connection and wait for another.
        """
        async with self._place():
            mark, begins = uuid.uuid4().hex, await self._ends(topic)
            sending = orjson.dumps({"mark": mark, "begins": begins}).decode()
            with timed_query("posts.claim"):
                await self._pool.fetchval(_CLAIM, *once.owned, once.fingerprint, sending, self._ttl_s)  # 1.
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(_PATIENT)
                if not await connection.fetchval(_LOCK, *once.owned):  # 2.
                    raise _in_progress(once)
                claim = await connection.fetchrow(_SENDING, *once.owned, once.fingerprint)
                if claim is None:
                    return await idempotency.replay(connection, once)  # 3.
                held = orjson.loads(claim["sending"])
                there = await self._there(topic, once, held, mark, claim["asked"])
                return await self._finish(connection, once, await effect(Attempt(held["mark"], there)))  # 4.

    async def _there(
        self, topic: Topic, once: Once, claim: Mapping[str, Any], mark: str, now: float
    ) -> Mapping[int, Delivery]:
        """What earlier attempts of this claim have put on the topic; `now` and the claim's time are the database's."""
        fresh = now - claim.get("claimed", 0.0) < _FRESH_S
        if claim["mark"] == mark and fresh:
            return {}
        if fresh:
            raise _in_progress(once)
        there = await self._find(topic, claim["mark"], claim["begins"])
        log.info("a post is taken up again", key=once.key, records_there=len(there))
        return there

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """One of the few places. Who waits for one has sent nothing, so the wait can end, and its body be let go."""
        try:
            async with asyncio.timeout(self._patience_s):
                await self._places.acquire()
        except TimeoutError:
            raise unavailable("Posts before this one wait for Kafka; nothing of this one was sent.") from None
        try:
            yield
        finally:
            self._places.release()

    async def _finish(self, connection: Connection, once: Once, outcome: tuple[Answer, bool]) -> Answer:
        answer, final = outcome
        if final:
            await idempotency.store(connection, once, answer)  # 5.
        return answer

    async def _ends(self, topic: Topic) -> dict[str, int]:
        ranges = await topic_ranges(self._reader, [topic.name])
        return {str(place.partition): end for place, (_first, end) in ranges.items()}

    async def _find(self, topic: Topic, mark: str, begins: Mapping[str, int]) -> dict[int, Delivery]:
        """Where the marked records are, by their place in the post; reads what came to the topic since the claim."""
        found: dict[int, Delivery] = {}
        async with open_reader(self._brokers, _CLIENT_ID, read_committed=False) as reader:
            ranges = await topic_ranges(reader, [topic.name])
            starts = {tp: max(first, begins.get(str(tp.partition), 0)) for tp, (first, _end) in ranges.items()}
            todo = {tp: ranges[tp][1] for tp, start in starts.items() if start < ranges[tp][1]}
            reader.assign(list(todo))
            for place in todo:
                reader.seek(place, starts[place])
            while todo:
                for place, records in (await reader.getmany(*todo, timeout_ms=500)).items():
                    for record in records:
                        if (index := _index(record, mark)) is not None:
                            found[index] = Delivery(topic.name, place.partition, record.offset)
                todo = {place: end for place, end in todo.items() if await _position(reader, place) < end}
        return found

    def _ended(self, once: Once, task: "asyncio.Task[Answer]") -> None:
        del self._running[once.owned]
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, Problem):
            log.warning("a post was not finished", key=once.key, error=describe(error))


@asynccontextmanager
async def open_posts(pool: Pool, settings: GatewaySettings, stop: asyncio.Event) -> AsyncIterator[Posts]:
    """Posts with a connection to Kafka of their own, by which the ends of topics are asked for."""

    async def start() -> AIOKafkaConsumer:
        await start_whole(reader.start())
        return reader

    accept_foreign_records()
    reader = AIOKafkaConsumer(bootstrap_servers=settings.kafka_brokers, client_id=_CLIENT_ID, enable_auto_commit=False)
    try:
        await retrying(start, what="kafka reader start", stop=stop)
        yield Posts(pool, reader, settings)
    finally:
        await reader.stop()


def _index(record: Any, mark: str) -> int | None:
    for name, value in record.headers:
        if name == MARK:
            owner, _, place = (value or b"").decode(errors="replace").partition("/")
            return int(place) if owner == mark and place.isdigit() else None
    return None


async def _position(reader: AIOKafkaConsumer, place: TopicPartition) -> int:
    return int(await reader.position(place))


def _in_progress(once: Once) -> Problem:
    detail = f"An earlier request with the {idempotency.HEADER} {once.key} is not finished; send this one again soon."
    return Problem(IN_PROGRESS, detail, headers={"Retry-After": "1"})
