"""Sends the records of one request in order, group after group, while further ones are still being made."""

import asyncio
import itertools
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from atlas_errors.policy import Fate, describe, fate_of
from atlas_http.problems import Kind
from atlas_kafka.producing.outgoing import Delivery, Outgoing, RecordRefused, RecordTooLarge
from atlas_kafka.producing.producer import Producer
from atlas_runtime.observing.semantics import messaging
from atlas_runtime.observing.traces import span_inside
from opentelemetry.trace import SpanKind

from atlas_gateway.posting.envelopes import Refused

# Groups that are made ahead of the one being sent; bounds a request's memory.
_AHEAD = 8
# Packing this many into batches takes about 5 ms.
_SEND_RECORDS = 1000

RECORD_TOO_LARGE = Kind("record-too-large", 413, "The record is too large")
REFUSED_BY_KAFKA = Kind("refused-by-kafka", 422, "Kafka refuses the record")
NOT_ACKNOWLEDGED = Kind("not-acknowledged", 503, "Kafka has not acknowledged the record")
NOT_SENT = Kind("not-sent", 503, "The record was not sent")
FAILED = Kind("not-accepted", 500, "Kafka did not accept the record")

# What is to be sent, what an earlier attempt has sent, and what can't be.
Group = list[Outgoing | Delivery | Refused]
log = structlog.get_logger(__name__)


class Production:
    """One request's way to Kafka.

    `results` has, in the order of the records, where each one is or why it is not there. Once an acknowledgement has
    taken longer than `timeout_s`, what follows is not sent any more: a request is answered within that time of the
    last record read. None waits for as long as the producer tries.
    """

    def __init__(self, producer: Producer, timeout_s: float | None) -> None:
        self.results: list[dict[str, Any]] = []
        self.refusals: list[Refused] = []
        self.highest: dict[tuple[str, int], int] = {}
        self._producer = producer
        self._timeout_s = timeout_s
        self._stalled = False
        self._waiting: asyncio.Queue[Group | None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def succeeded(self) -> int:
        """How many records Kafka has acknowledged."""
        return len(self.results) - len(self.refusals)

    async def put(self, group: Group) -> None:
        """Hand over the next group; waits while too many are waiting."""
        if self._waiting is None:
            self._waiting = asyncio.Queue(_AHEAD)
            self._task = asyncio.create_task(self._run(self._waiting))
        await self._waiting.put(group)

    async def finish(self, last: Group | None = None) -> None:
        """Hand over the last group, if there is one more, and wait until all have their results."""
        if self._waiting is None or self._task is None:
            # One group, as of most requests: a queue and a task would take as long as its record.
            await self._send(last or [])
            return
        if last is not None:
            await self._waiting.put(last)
        await self._waiting.put(None)
        await self._task

    async def _run(self, waiting: "asyncio.Queue[Group | None]") -> None:
        last = False
        while not last:
            groups = [await waiting.get()]
            while not waiting.empty() and sum(len(group or ()) for group in groups) < _SEND_RECORDS:
                groups.append(waiting.get_nowait())
            last = None in groups
            await self._send(list(itertools.chain.from_iterable(group for group in groups if group)))

    async def _send(self, records: Group) -> None:
        outgoing = [record for record in records if type(record) is Outgoing]
        outcomes = iter(await self._deliver(outgoing) if outgoing else ())
        for record in records:
            outcome = next(outcomes) if type(record) is Outgoing else record
            if type(outcome) is Delivery:
                self.results.append({"partition": outcome.partition, "offset": outcome.offset})
                place = outcome.topic, outcome.partition
                self.highest[place] = max(outcome.offset, self.highest.get(place, 0))
            else:
                refused = outcome if isinstance(outcome, Refused) else _refused(outcome)
                self.refusals.append(refused)
                self.results.append({"error": refused.error})

    async def _deliver(self, outgoing: list[Outgoing]) -> "list[Delivery | Exception]":
        if self._stalled:
            return [Refused(NOT_SENT, "Kafka did not answer an earlier record of this request.")] * len(outgoing)
        facts = messaging("send", topic=outgoing[0].topic, records=len(outgoing))
        try:
            with span_inside(f"send {outgoing[0].topic}", SpanKind.PRODUCER, facts):
                async with asyncio.timeout(self._timeout_s):
                    return await self._producer.send_all(outgoing)
        except TimeoutError:
            self._stalled = True
            detail = f"No acknowledgement within {self._timeout_s:g} s; the record may still arrive."
            return [Refused(NOT_ACKNOWLEDGED, detail)] * len(outgoing)


def _refused(error: object) -> Refused:
    if isinstance(error, RecordTooLarge):
        return Refused(RECORD_TOO_LARGE, f"{error}.")
    if isinstance(error, RecordRefused):
        return Refused(REFUSED_BY_KAFKA, f"{error}.")
    assert isinstance(error, Exception), f"an outcome is a delivery or an error, not {error!r}"
    if fate_of(error) is Fate.TRANSIENT:
        log.warning("record not sent", error=describe(error))
        return Refused(NOT_SENT, "Kafka is not available; try again.")
    if isinstance(error, KafkaError):
        # The topic is missing, has too few replicas, or may not be written to: nothing is wrong with the record.
        log.error("record not sent", error=describe(error))
        return Refused(NOT_SENT, f"Kafka does not take records for this topic now: {type(error).__name__}.")
    log.error("record not accepted", error=describe(error))
    return Refused(FAILED, "Kafka did not accept the record; the gateway's log says why.")
