"""Keeps a row for each order in a SQLite file, each event counted once: python worker.py BROKERS FILE

Rows and positions are in one transaction of the file. So a worker that is killed goes on where its rows are; what the
group has committed in Kafka is only for those who look at its lag.
"""

import asyncio
import logging
import signal
import sqlite3
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from aiokafka import ConsumerRecord, TopicPartition
from atlas_contracts.codec import Codec
from atlas_contracts.errors import Undecodable
from atlas_contracts.events import Meta
from atlas_contracts.registry import Registry
from atlas_kafka.cluster.partitions_now import PartitionNow
from atlas_kafka.consuming.loop import ConsumerConfig, Offsets, Records, consume
from atlas_kafka.consuming.sink import Rewind
from orders import ORDERS

_TABLES = """
CREATE TABLE IF NOT EXISTS orders (order_id TEXT PRIMARY KEY, items INTEGER NOT NULL, cents INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS positions (
    topic_id TEXT, partition INTEGER, next_offset INTEGER NOT NULL, PRIMARY KEY (topic_id, partition)
);
"""

log = logging.getLogger("worker")


class Orders:
    """The sink of the loop: takes records, and says what is durable."""

    def __init__(self, file: Path, codec: Codec) -> None:
        self._file = sqlite3.connect(file, isolation_level=None)
        self._file.row_factory = sqlite3.Row
        self._file.executescript(_TABLES)
        self._codec = codec
        self._topic_ids: dict[TopicPartition, str] = {}
        self._known: dict[TopicPartition, int] = {}

    async def start_offsets(self, partitions: Mapping[TopicPartition, PartitionNow]) -> Offsets:
        """Where the file says. A topic that was made anew has another id, so it is read from its beginning."""
        self._topic_ids = {place: now.topic_id for place, now in partitions.items()}
        self._known = {place: self._next(place) for place in partitions}
        return dict(self._known)

    async def handle(self, records: Records) -> Offsets:
        """Rows and positions of all these records, or none of them."""
        after = {place: batch[-1].offset + 1 for place, batch in records.items()}
        self._file.execute("BEGIN IMMEDIATE")
        try:
            for place, batch in records.items():
                if self._next(place) != self._known[place]:
                    raise Rewind  # another worker on this file had the partition meanwhile: begin where it ended
                for record in batch:
                    self._apply(place, record)
                position = (self._topic_ids[place], place.partition, after[place])
                self._file.execute("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", position)
            self._file.execute("COMMIT")
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._known.update(after)
        return after

    async def release(self, partitions: Collection[TopicPartition]) -> Offsets:
        """Nothing is held back, so there is nothing to do."""
        return {}

    def _next(self, place: TopicPartition) -> int:
        found = self._file.execute(
            "SELECT next_offset FROM positions WHERE topic_id = ? AND partition = ?",
            (self._topic_ids[place], place.partition),
        ).fetchone()
        return 0 if found is None else int(found["next_offset"])

    def _apply(self, place: TopicPartition, record: ConsumerRecord) -> None:
        try:
            event = self._codec.decode(record.value)
        except Undecodable as error:
            # Atlas's projector would set it aside; whoever has a use for such records does it here.
            log.warning("%s/%s@%s is passed over: %s", place.topic, place.partition, record.offset, error)
            return
        handler = ORDERS.handlers.get(event.type)
        if handler is None:
            return
        found = self._file.execute("SELECT * FROM orders WHERE order_id = ?", (event.value["order_id"],)).fetchone()
        meta = Meta(place.topic, place.partition, record.offset, record.timestamp, record.key, record.headers)
        row = handler(None if found is None else dict(found), event.value, meta)
        if row is not None:
            self._file.execute("INSERT OR REPLACE INTO orders VALUES (:order_id, :items, :cents)", row)


async def main(brokers: str, file: Path) -> None:
    """Work until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    codec = Codec(Registry.load(Path(__file__).parents[1] / "schemas"))
    config = ConsumerConfig(brokers, group=f"shop-{ORDERS.name}", topics=ORDERS.topics, client_id="worker")
    await consume(config, Orders(file, codec), stop)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
