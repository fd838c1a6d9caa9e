"""What waits for one partition, batch after batch, and what becomes of each: no I/O.

One batch is under way at a time, and its sequence number counts only once the broker has taken it. So a batch that is
refused leaves no gap, whatever the reason: the next one has the same number. That is all an idempotent producer needs.
"""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from atlas_errors.policy import Transient, describe

from atlas_kafka.internals.records import DefaultRecordBatchBuilder
from atlas_kafka.producing.calls import Entry
from atlas_kafka.producing.outgoing import Delivery, Outgoing, RecordRefused, RecordTooLarge, size_of
from atlas_kafka.producing.produce_answers import Answer, Verdict

# How long a topic may be missing, or have too few replicas, before its records get that for an answer. A topic made a
# moment ago is not known to every broker yet.
WITHHELD_S = 3.0
# A server's error without a name may pass. After so many the batch itself is suspected.
_NAMELESS_MAX = 3
_NAMELESS = (-1, 2)
_SEQUENCES = 1 << 31
_MAGIC = 2


class Next(Enum):
    """What a partition needs after an answer."""

    GO_ON = "go on"
    LOOK = "look for the leader, after a pause"


class Identity(NamedTuple):
    """A producer as the brokers know it."""

    id: int
    epoch: int


@dataclass(slots=True)
class Batch:
    """Records of one partition, packed. `unsettled`: it was sent, and may be on the topic although nobody said so."""

    entries: list[Entry]
    packed: bytes
    unsettled: bool = False
    nameless: int = 0


class PartitionQueue:
    """The records that wait for one partition, in order, and the batch that is under way.

    `identity` None means that a new one is needed, which begins its sequence anew.
    """

    def __init__(self, topic: str, partition: int, identity: Identity | None, compression: int = 0) -> None:
        self.topic = topic
        self.partition = partition
        self.identity = identity
        self.scheduled = False
        self._compression = compression
        self._sequence = 0
        self._waiting: deque[Entry] = deque()
        # Parts of refused batches and what the broker did not take, each to be sent by itself, before what waits.
        self._again: deque[deque[Entry]] = deque()
        self._batch: Batch | None = None
        self._withheld_since: float | None = None
        self._lost = 0

    @property
    def idle(self) -> bool:
        """Whether there is nothing to send."""
        return not (self._waiting or self._again or self._batch)

    def add(self, entry: Entry) -> None:
        """The entry comes after all that wait."""
        self._waiting.append(entry)

    def renew(self, identity: Identity) -> None:
        """Go on as another producer, with sequence numbers from 0."""
        self.identity, self._sequence = identity, 0

    def next_batch(self, max_bytes: int, max_records: int) -> Batch | None:
        """The batch to send now: one that may be on the topic already, unchanged; else the first that wait."""
        while self._batch is None and not self.idle:
            source = self._again[0] if self._again else self._waiting
            self._batch = self._pack(source, max_bytes, max_records)
            if self._again and not self._again[0]:
                self._again.popleft()
        return self._batch

    def answered(self, answer: Answer) -> Next:
        """The broker's answer to the batch. Each record that will not be tried again gets its result."""
        batch = self._batch
        assert batch is not None, "there was a question"
        verdict = answer.verdict
        if verdict is Verdict.UNSETTLED and answer.code in _NAMELESS:
            batch.nameless += 1
            if batch.nameless >= _NAMELESS_MAX:
                verdict = Verdict.REFUSED
        if verdict is Verdict.TAKEN:
            self._taken(batch, answer)
        elif verdict in (Verdict.TOO_LARGE, Verdict.REFUSED):
            self._refused(batch, answer, verdict)
        elif verdict is Verdict.DENIED:
            self._give_up(batch, answer.error(self.topic))
        elif verdict is Verdict.LOST:
            self._lose(batch, answer)
        else:
            batch.unsettled = batch.unsettled or verdict is Verdict.UNSETTLED
            if verdict is not Verdict.WITHHELD or not self.withheld(answer.error(self.topic)):
                self._hold(batch)
            return Next.LOOK
        return Next.GO_ON

    def unanswered(self, *, sent: bool) -> Next:
        """No answer came to the batch; unless it was not even sent, it may be on the topic."""
        batch = self._batch
        assert batch is not None, "there was a question"
        batch.unsettled = batch.unsettled or sent
        self._hold(batch)
        return Next.LOOK

    def withheld(self, error: Exception) -> bool:
        """The partition takes nothing now. Once that has lasted for too long, all that wait get `error`: then True."""
        now = time.monotonic()
        if self._withheld_since is None:
            self._withheld_since = now
        if now - self._withheld_since < WITHHELD_S:
            return False
        self.fail(error)
        return True

    def give_up(self, error: Exception) -> None:
        """Nobody knows what became of the batch under way: `error` for each of its records."""
        if self._batch is not None:
            self._batch.unsettled = True
            self._give_up(self._batch, error)

    def fail(self, error: Exception) -> None:
        """Give `error` to all that wait, and to the batch under way."""
        if self._batch is not None:
            self._give_up(self._batch, error)
        for waiting in (*self._again, self._waiting):
            for call, index in waiting:
                call.settle(index, error)
        self._again.clear()
        self._waiting.clear()

    def forget_dropped(self) -> None:
        """Let go of what nobody waits for any more."""
        self._waiting = _wanted(self._waiting)
        self._again = deque(left for part in self._again if (left := _wanted(part)))
        if self._batch is not None:
            self._hold(self._batch)

    def _pack(self, source: deque[Entry], max_bytes: int, max_records: int) -> Batch | None:
        builder = DefaultRecordBatchBuilder(_MAGIC, self._compression, 0, -1, -1, -1, max_bytes)
        append, now_ms = builder.append, time.time_ns() // 1_000_000
        entries: list[Entry] = []
        while source and len(entries) < max_records:
            call, index = source[0]
            if call.dropped:
                source.popleft()
                continue
            record = call.records[index]
            time_ms = now_ms if record.timestamp_ms is None else record.timestamp_ms
            try:
                fits = append(len(entries), time_ms, record.key, record.value, list(record.headers))
            except Exception as error:  # noqa: BLE001 - becomes this record's result
                source.popleft()
                call.settle(index, RecordRefused(describe(error)))
                # Nobody knows what the builder holds now: what was packed is packed again, by itself.
                source.extendleft(reversed(entries))
                return self._pack(source, max_bytes, len(entries)) if entries else None
            if fits is None:
                break
            entries.append(source.popleft())
        if not entries:
            return None
        assert self.identity is not None, "who has no identity is not asked for a batch"
        builder.set_producer_state(self.identity.id, self.identity.epoch, self._sequence)
        return Batch(entries, bytes(builder.build()))

    def _taken(self, batch: Batch, answer: Answer) -> None:
        self._batch, self._withheld_since, self._lost = None, None, 0
        self._sequence = (self._sequence + len(batch.entries)) % _SEQUENCES
        for place, (call, index) in enumerate(batch.entries, start=answer.offset):
            call.settle(index, Delivery(self.topic, self.partition, place, answer.appended_ms))

    def _refused(self, batch: Batch, answer: Answer, verdict: Verdict) -> None:
        """The records that the broker names are done with; where it names none, each half is tried by itself."""
        entries, self._batch = batch.entries, None
        faults = {place: reason for place, reason in answer.faults if 0 <= place < len(entries)}
        if len(entries) == 1:
            ((call, index),) = entries
            record = call.records[index]
            call.settle(index, _refusal(record, answer, verdict, faults.get(0)))
        elif faults:
            for place, reason in faults.items():
                call, index = entries[place]
                call.settle(index, _refusal(call.records[index], answer, verdict, reason))
            self._send_again(entry for place, entry in enumerate(entries) if place not in faults)
        else:
            middle = len(entries) // 2
            self._send_again(entries[middle:])
            self._send_again(entries[:middle])

    def _lose(self, batch: Batch, answer: Answer) -> None:
        """A new identity; of what may be on the topic already nobody can tell any more."""
        self.identity, self._batch = None, None
        self._lost += 1
        if batch.unsettled or self._lost > 1:
            self._give_up(batch, Transient(f"it is not known whether the record is on its topic: {answer.reason}"))
        else:
            self._send_again(batch.entries)

    def _give_up(self, batch: Batch, error: Exception) -> None:
        if batch.unsettled:
            self.identity = None  # its number may be used up, or not
        self._batch = None
        for call, index in batch.entries:
            call.settle(index, error)

    def _hold(self, batch: Batch) -> None:
        """Keep it for the next attempt; as it is, if it may be on the topic."""
        if not batch.unsettled:
            self._batch = None
            self._send_again(batch.entries)

    def _send_again(self, entries: Iterable[Entry]) -> None:
        if wanted := _wanted(entries):
            self._again.appendleft(wanted)


def _wanted(entries: Iterable[Entry]) -> deque[Entry]:
    return deque(entry for entry in entries if not entry[0].dropped)


def _refusal(record: Outgoing, answer: Answer, verdict: Verdict, reason: str | None) -> Exception:
    if verdict is Verdict.TOO_LARGE:
        return RecordTooLarge(size_of(record))
    return RecordRefused(reason or answer.reason)
