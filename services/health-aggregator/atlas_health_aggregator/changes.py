"""HealthChanged events: read back at the start, published as states change."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

import structlog
from atlas_contracts.codec import Codec
from atlas_contracts.errors import Undecodable
from atlas_contracts.headers import cloud_event_headers
from atlas_contracts.topics import Topic
from atlas_errors.backoff import retrying
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from atlas_kafka.producing.outgoing import RecordRefused, RecordTooLarge
from atlas_kafka.producing.producer import Outgoing, Producer, send_one
from atlas_runtime.observing import traces
from atlas_runtime.observing.batch_spans import sending

from atlas_health_aggregator.judging.admission import SERVICE_NAME
from atlas_health_aggregator.judging.liveness import Change, State

EVENT_TYPE = "health.HealthChanged"

READ_TIMEOUT_MS = 1000
# Many more than a mesh has: the topic is read from its beginning, and anybody may have written to it.
SERVICES_MAX = 1000

log = structlog.get_logger(__name__)


async def last_changes(brokers: str, codec: Codec, topic: str, client_id: str) -> list[Change]:
    """The newest HealthChanged of each service on the topic, of at most SERVICES_MAX; what is none is passed over."""
    last: OrderedDict[str, Change] = OrderedDict()
    passed_over = 0
    async with open_reader(brokers, client_id) as reader:
        ranges = await topic_ranges(reader, [topic])
        pending = {partition: end for partition, (first, end) in ranges.items() if first < end}
        reader.assign(list(pending))
        for partition in pending:
            reader.seek(partition, ranges[partition][0])
        while pending:
            for records in (await reader.getmany(*pending, timeout_ms=READ_TIMEOUT_MS)).values():
                for record in records:
                    change = _parse(codec, record.value)
                    if change is None:
                        passed_over += 1
                        continue
                    last[change.service] = change
                    last.move_to_end(change.service)
                    if len(last) > SERVICES_MAX:
                        last.popitem(last=False)
            # By position, not by record: transaction markers leave the end without one.
            pending = {partition: end for partition, end in pending.items() if await reader.position(partition) < end}
    if passed_over:
        log.warning("records that are no health events", topic=topic, records=passed_over)
    return list(last.values())


def _parse(codec: Codec, value: bytes | None) -> Change | None:
    try:
        event = codec.decode(value or b"")
    except Undecodable:
        return None
    if event.type != EVENT_TYPE or not SERVICE_NAME.fullmatch(event.value["service"]):
        return None
    fields = event.value
    return Change(
        service=fields["service"],
        previous=State(fields["previous"]),
        current=State(fields["current"]),
        reason=fields["reason"],
        instances=fields["instances"],
        changed_at=fields["changed_at"],
    )


class Publisher:
    """Publishes changes in the order they were added, each at least once while the process lives."""

    def __init__(self, producer: Producer, codec: Codec, topic: Topic, source: str) -> None:
        self._producer = producer
        self._codec = codec
        self._topic = topic
        self._source = source
        self._waiting: deque[Change] = deque()
        self._added = asyncio.Event()

    def add(self, changes: Sequence[Change]) -> None:
        """Log the changes and have `run` publish them."""
        for change in changes:
            log.info("health changed", subject=change.service, state=change.current.value, reason=change.reason)
        if changes:
            self._waiting.extend(changes)
            self._added.set()

    async def run(self, on_state: Callable[[str | None], None]) -> None:
        """Publish until cancelled; `on_state` hears why changes wait, and None once they are out.

        Raises what is not a passing fault.
        """
        while True:
            await self._added.wait()
            self._added.clear()
            await retrying(self.flush, what="publish health events", stop=asyncio.Event(), on_retry=on_state)

    async def flush(self) -> None:
        """Publish what waits; a change leaves the queue once the broker has it or refuses it for good.

        Raises Transient.
        """
        while self._waiting:
            try:
                with sending(self._topic.name):
                    await send_one(self._producer, self._record(self._waiting[0]))
            except (RecordRefused, RecordTooLarge) as refused:
                log.error("health event not published", subject=self._waiting[0].service, error=str(refused))
            self._waiting.popleft()

    def _record(self, change: Change) -> Outgoing:
        value = {
            "service": change.service,
            "previous": change.previous.value,
            "current": change.current.value,
            "reason": change.reason,
            "instances": change.instances,
            "changed_at": change.changed_at,
        }
        return Outgoing(
            topic=self._topic.name,
            key=self._topic.key_of(EVENT_TYPE, value),
            value=self._codec.encode(EVENT_TYPE, value),
            headers=cloud_event_headers(
                event_type=EVENT_TYPE,
                source=self._source,
                subject=change.service,
                time_ms=change.changed_at,
                trace=traces.headers(),
            ),
        )
