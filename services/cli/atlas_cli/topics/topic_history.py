"""What a topic holds of some keys, read once from its beginning to where it ends now."""

from collections import Counter
from collections.abc import Collection

from atlas_archive.format.records import Record
from atlas_contracts.events import Meta

from atlas_cli.read_models.suspects import Spoken
from atlas_cli.topics.topic_reader import LiveTopicReader


class History:
    """The records of the keys asked for, in the order of partition and offset, and the sources of all there are."""

    def __init__(self, projection: str, keys: Collection[bytes]) -> None:
        self.records: list[Spoken] = []
        self.sources: Counter[str | None] = Counter()
        self._projection = projection
        self._keys = frozenset(keys)

    @property
    def usual_source(self) -> str | None:
        """The source that most records have."""
        return self.sources.most_common(1)[0][0] if self.sources else None

    async def read(self, reader: LiveTopicReader, topic: str) -> None:
        """Add what the topic holds; of one that is not there, nothing."""
        described = await reader.describe(topic)
        for partition, (first, end) in sorted(described.bounds.items() if described else ()):
            async for batch in reader.read(topic, partition, first, end):
                for record in batch:
                    self.add(topic, partition, record)

    def add(self, topic: str, partition: int, record: Record) -> None:
        """Take one record into account."""
        meta = Meta(topic, partition, record.offset, record.timestamp, record.key, record.headers)
        source = meta.header("ce_source")
        self.sources[source] += 1
        if record.key is not None and record.key in self._keys:
            self.records.append(
                Spoken(
                    id=f"{self._projection}/{topic}/{partition}@{record.offset}",
                    key=record.key,
                    version=meta.sequence,
                    type=meta.header("ce_type"),
                    source=source,
                    event_id=meta.header("ce_id"),
                    time=meta.header("ce_time"),
                )
            )
