"""Dead letters: a record that can't be handled, kept whole beside the reason."""

import time

import structlog
from aiokafka import AIOKafkaProducer, ConsumerRecord

from atlas_kafka.metrics import DEAD_LETTERS
from atlas_kafka.producer import Outgoing, RecordTooLarge, send_all

log = structlog.get_logger(__name__)

SUFFIX = ".dlq"
HEADER_PREFIX = "atlas_dlq_"
ERROR_MAX_CHARS = 2000


class DeadLetters:
    """Sends records to `<topic>.dlq`, with their own key, value and headers and with headers that say why."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def send(self, record: ConsumerRecord, *, group: str, error: str) -> None:
        """Return once the dead letter is acknowledged; at least once, so readers tell repeats by `atlas_dlq_offset`.

        Raises what the broker answered when it can't be written: then the record must not be passed over.
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
        (result,) = await send_all(self._producer, [letter])
        if isinstance(result, RecordTooLarge):
            # A record at the broker's limit does not fit once the reasons are added: keep the reasons and the place.
            letter = Outgoing(letter.topic, record.key, None, headers[-7:], partition=0)
            (result,) = await send_all(self._producer, [letter])
        if isinstance(result, Exception):
            raise result
        DEAD_LETTERS.labels(record.topic, group).inc()
        log.error(
            "dead letter",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            group=group,
            error=error,
        )
