"""Dead letters: a record that can't be handled, kept whole beside the reason."""

import re
import time

import structlog
from aiokafka import ConsumerRecord
from atlas_errors.policy import Transient, describe

from atlas_kafka.metrics import DEAD_LETTERS
from atlas_kafka.producing.outgoing import Outgoing, RecordRefused, RecordTooLarge
from atlas_kafka.producing.producer import Producer, send_one

log = structlog.get_logger(__name__)

SUFFIX = ".dlq"
HEADER_PREFIX = "atlas_dlq_"
ERROR_MAX_CHARS = 2000
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class DeadLetters:
    """Sends records to `<topic>.dlq`, with their own key, value and headers and with headers that say why."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def send(self, record: ConsumerRecord, *, group: str, error: str) -> None:
        """Return once the dead letter is acknowledged; at least once, so readers tell repeats by `atlas_dlq_offset`.

        Where its topic does not take the record as it is, the letter has the reasons and the place alone. Raises
        Transient when it can't be written: the record must not be passed over, and a missing topic may be made.
        """
        headers = [(name, value) for name, value in record.headers if not name.startswith(HEADER_PREFIX)]
        headers += [
            (HEADER_PREFIX + name, text.encode())
            for name, text in (
                ("error", error[:ERROR_MAX_CHARS]),
                ("group", group),
                ("topic", record.topic),
                ("partition", str(record.partition)),
                ("offset", str(record.offset)),
                ("timestamp", str(record.timestamp)),
                ("failed_at", str(time.time_ns() // 1_000_000)),
            )
        ]
        letter = Outgoing(record.topic + SUFFIX, record.key, record.value, headers, partition=0)
        try:
            await send_one(self._producer, letter)
        except (RecordTooLarge, RecordRefused) as refused:
            # A record at the broker's limit does not fit once the reasons are added: keep the reasons and the place.
            log.warning("dead letter without its record", topic=letter.topic, error=describe(refused))
            await self._send_reasons(Outgoing(letter.topic, None, None, headers[-7:], partition=0))
        DEAD_LETTERS.labels(record.topic, group).inc()
        log.error(
            "dead letter",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            group=group,
            error=error,
            **_trace_of(record),
        )

    async def _send_reasons(self, letter: Outgoing) -> None:
        try:
            await send_one(self._producer, letter)
        except (RecordTooLarge, RecordRefused) as refused:
            raise Transient(f"{letter.topic} takes no dead letter, however small: {refused}") from refused


def _trace_of(record: ConsumerRecord) -> dict[str, str]:
    """The record's own trace, for the log: that of the batch is another's."""
    parent = dict(record.headers).get("traceparent") or b""
    match = _TRACEPARENT.fullmatch(parent)
    return {"trace_id": match[1].decode()} if match else {}
