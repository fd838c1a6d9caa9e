"""HealthChanged events: read back at the start, published as states change."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
from atlas_health_aggregator.judging.group_changes import GroupChange
from atlas_health_aggregator.judging.liveness import Change, State
from atlas_health_aggregator.judging.status import Status

EVENT_TYPE = "health.HealthChanged"

READ_TIMEOUT_MS = 1000
# Many more than a mesh has: the topic is read from its beginning, and anybody may have written to it.
SUBJECTS_MAX = 1000
GROUP_MAX_CHARS = 255

log = structlog.get_logger(__name__)


async def last_changes(brokers: str, codec: Codec, topic: str, client_id: str) -> list[Change | GroupChange]:
    """The newest HealthChanged of each service and of each group on the topic, of at most SUBJECTS_MAX.

    What is none is passed over.
    """
    last: OrderedDict[tuple[type, str], Change | GroupChange] = OrderedDict()
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
                    subject = type(change), _subject(change)
                    last[subject] = change
                    last.move_to_end(subject)
                    if len(last) > SUBJECTS_MAX:
                        last.popitem(last=False)
            # By position, not by record: transaction markers leave the end without one.
            pending = {partition: end for partition, end in pending.items() if await reader.position(partition) < end}
    if passed_over:
        log.warning("records that are no health events", topic=topic, records=passed_over)
    return list(last.values())


def _subject(change: Change | GroupChange) -> str:
    return change.group if isinstance(change, GroupChange) else change.service


def _parse(codec: Codec, value: bytes | None) -> Change | GroupChange | None:
    try:
        event = codec.decode(value or b"")
    except Undecodable:
        return None
    if event.type != EVENT_TYPE or not SERVICE_NAME.fullmatch(event.value["service"]):
        return None
    fields = event.value
    if fields["group"] is not None:
        return _parse_group(fields)
    return Change(
        service=fields["service"],
        previous=State(fields["previous"]),
        current=State(fields["current"]),
        reason=fields["reason"],
        instances=fields["instances"],
        changed_at=fields["changed_at"],
    )


def _parse_group(fields: Mapping[str, Any]) -> GroupChange | None:
    previous, current = _status(fields["previous_status"]), _status(fields["current_status"])
    if current is None or len(fields["group"]) > GROUP_MAX_CHARS:
        return None
    return GroupChange(fields["group"], previous, current, fields["reason"], fields["changed_at"])


def _status(symbol: str | None) -> Status | None:
    return None if symbol is None else Status[symbol]


class Publisher:
    """Publishes changes in the order they were added, each at least once while the process lives."""

    def __init__(self, producer: Producer, codec: Codec, topic: Topic, source: str) -> None:
        self._producer = producer
        self._codec = codec
        self._topic = topic
        self._source = source
        self._waiting: deque[tuple[str, dict[str, Any]]] = deque()
        self._added = asyncio.Event()

    def add(self, changes: Sequence[Change]) -> None:
        """Log the changes of services and have `run` publish them."""
        for change in changes:
            self._tell(change, _value(change, change.previous, change.current, change.instances))

    def add_groups(self, changes: Sequence[GroupChange], services: Mapping[str, tuple[State, int]]) -> None:
        """The same of groups, given the state of each service and how many instances of it are alive."""
        for change in changes:
            state, instances = services.get(change.service, (State.UNKNOWN, 0))
            statuses = {
                "group": change.group,
                "previous_status": None if change.previous is None else change.previous.name,
                "current_status": change.current.name,
            }
            self._tell(change, _value(change, state, state, instances) | statuses)

    def _tell(self, change: Change | GroupChange, value: dict[str, Any]) -> None:
        log.info("health changed", subject=_subject(change), state=change.current.value, reason=change.reason)
        self._waiting.append((_subject(change), value))
        self._added.set()

    @property
    def waits(self) -> bool:
        """Whether changes are on their way."""
        return bool(self._waiting)

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
            subject, value = self._waiting[0]
            try:
                with sending(self._topic.name):
                    await send_one(self._producer, self._record(subject, value))
            except (RecordRefused, RecordTooLarge) as refused:
                log.error("health event not published", subject=subject, error=str(refused))
            self._waiting.popleft()

    def _record(self, subject: str, value: Mapping[str, Any]) -> Outgoing:
        return Outgoing(
            topic=self._topic.name,
            key=self._topic.key_of(EVENT_TYPE, value),
            value=self._codec.encode(EVENT_TYPE, value),
            headers=cloud_event_headers(
                event_type=EVENT_TYPE,
                source=self._source,
                subject=subject,
                time_ms=value["changed_at"],
                trace=traces.headers(),
            ),
        )


def _value(change: Change | GroupChange, previous: State, current: State, instances: int) -> dict[str, Any]:
    return {
        "service": change.service,
        "previous": previous.value,
        "current": current.value,
        "reason": change.reason,
        "instances": instances,
        "changed_at": change.changed_at,
    }
