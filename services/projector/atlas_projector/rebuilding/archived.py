"""History as a rebuild reads it: what the archive has from there, the rest from the topic, without a seam.

The archive's end is the topic's next offset, so a record comes from one of them and from only one. Where retention has
eaten the head of the topic, only the archive can give the same rows.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from aiokafka import TopicPartition
from atlas_archive.chain.manifests import BadManifest
from atlas_archive.chain.manifests import topics as archived_topics
from atlas_archive.history import History, HistoryGap, histories, read_history
from atlas_archive.store import ObjectStore, S3Address, open_store

from atlas_projector.source import Batches, Positions, RecordsGone, TopicSource, open_topic_source


class ArchivedSource:
    """A Source over the archive and the topic after it."""

    def __init__(self, store: ObjectStore, topic: TopicSource) -> None:
        self._store = store
        self._topic = topic
        self._found: Mapping[TopicPartition, History] | None = None

    async def partitions(self) -> frozenset[TopicPartition]:
        """Every partition of the topics, as the brokers know them now."""
        return await self._topic.partitions()

    async def incarnations(self) -> Mapping[str, str]:
        """Kafka's id of each topic, as the brokers know them now."""
        return await self._topic.incarnations()

    async def former(self) -> Sequence[str]:
        """Those of which the archive has another incarnation as well."""
        now = await self._topic.incarnations()
        return sorted({name async for name, found in archived_topics(self._store) if now.get(name, found) != found})

    async def read(self, start: Positions, until: Positions) -> Batches:
        """See Source. Raises what the object store raises too."""
        if self._found is None:
            self._found = await self._look()
        at = {partition: start.get(partition, 0) for partition in until}
        for partition, history in self._found.items():
            begin, end = at.get(partition, 0), min(history.next_offset, until.get(partition, 0))
            if begin >= end or history.start_offset > begin:
                continue
            async with aclosing(read_history(self._store, history, begin, end)) as blocks:
                async for records in blocks:
                    yield {partition: records}
            at[partition] = end
        async for batches in self._topic.read(at, until):
            yield batches

    async def _look(self) -> Mapping[TopicPartition, History]:
        """Asked once: what is archived meanwhile is on the topic as well."""
        found: dict[TopicPartition, History] = {}
        for topic, incarnation in (await self._topic.incarnations()).items():
            try:
                archived = await histories(self._store, topic, incarnation)
            except (HistoryGap, BadManifest) as error:
                raise RecordsGone(f"the archive of {topic} can't be read: {error}") from error
            found |= {TopicPartition(topic, number): history for number, history in archived.items()}
        return found


@asynccontextmanager
async def open_source(
    brokers: str, topics: tuple[str, ...], client_id: str, archive: S3Address | None
) -> AsyncIterator[TopicSource | ArchivedSource]:
    """The archive and the topics, or with `archive` None the topics alone."""
    async with AsyncExitStack() as stack:
        topic = await stack.enter_async_context(open_topic_source(brokers, topics, client_id))
        if archive is None:
            yield topic
        else:
            yield ArchivedSource(await stack.enter_async_context(open_store(archive)), topic)
