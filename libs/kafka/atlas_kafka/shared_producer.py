"""One producer for many callers: what they send at the same time goes out together.

aiokafka holds one batch a partition, and lets each further one wait for its turn in a race with all others. Its bound
on that wait shrinks with every turn that is lost, so a few dozen callers with a record each ran into time-outs of ten
seconds within one (measured: 32 callers, two partitions). Here the callers queue, and whoever waits goes with the next
round.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer
from aiokafka.errors import OutOfOrderSequenceNumber

from atlas_kafka.producer import Delivery, Outgoing, send_all

Results = list[Delivery | Exception]

# Two, so that one is packed while the broker has the other.
_ROUNDS = 2
# Packing this many takes about 10 ms, for which the event loop does nothing else.
_ROUND_RECORDS = 2000


@dataclass(eq=False, slots=True)
class _Call:
    records: Sequence[Outgoing]
    done: "asyncio.Future[Results]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class SharedProducer:
    """Sends for many callers at once; nobody waits for a batch to fill.

    `out_of_order` is set when the broker no longer knows where this producer was: then it can never send again, and a
    new one is needed.
    """

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.producer = producer
        self.out_of_order = asyncio.Event()
        self._waiting: deque[_Call] = deque()
        self._rounds: set[asyncio.Task[None]] = set()

    async def send_all(self, records: Sequence[Outgoing]) -> Results:
        """As `atlas_kafka.producer.send_all`: a result a record, in order; records of one caller keep theirs.

        Cancelled while the records wait for their round, none is sent; later, they may still arrive.
        """
        call = _Call(records)
        self._waiting.append(call)
        self._begin()
        try:
            return await call.done
        except asyncio.CancelledError:
            with suppress(ValueError):
                self._waiting.remove(call)
            raise

    def _begin(self) -> None:
        while self._waiting and len(self._rounds) < _ROUNDS:
            calls = [self._waiting.popleft()]
            size = len(calls[0].records)
            while self._waiting and size + len(self._waiting[0].records) <= _ROUND_RECORDS:
                calls.append(self._waiting.popleft())
                size += len(calls[-1].records)
            task = asyncio.create_task(self._round(calls))
            self._rounds.add(task)
            task.add_done_callback(self._ended)

    async def _round(self, calls: Sequence[_Call]) -> None:
        try:
            results = await send_all(self.producer, [record for call in calls for record in call.records])
        except BaseException as error:
            for call in calls:
                if not call.done.done():
                    call.done.set_exception(
                        error if isinstance(error, Exception) else ConnectionAbortedError("stopped")
                    )
            raise
        if any(isinstance(result, OutOfOrderSequenceNumber) for result in results):
            self.out_of_order.set()
        place = 0
        for call in calls:
            if not call.done.done():
                call.done.set_result(results[place : place + len(call.records)])
            place += len(call.records)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._rounds.discard(task)
        if not task.cancelled():
            task.exception()  # each caller has been told
        self._begin()
