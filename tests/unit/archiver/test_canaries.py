"""Canaries in the archive: which of their topics are archived, and how long what is archived stays."""

from atlas_archive.chain.listing import summaries
from atlas_archive.chain.manifests import PartitionPath
from atlas_archive.format.records import Record
from atlas_archive.store import MemoryStore
from atlas_archive.writing.batches import pack
from atlas_archive.writing.segments import Segment, store_segment
from atlas_archiver.canaries import archived_topics, give_up
from atlas_contracts.registry import Registry

from tests.contexts import SCHEMAS

TOPICS = Registry.load(SCHEMAS).topics


def test_without_canaries_none_of_their_topics_is_archived() -> None:
    found = archived_topics(TOPICS.values(), {"health.heartbeats"}, canary=False)
    assert "health.events" in found
    assert {"health.heartbeats", "health.canary-events", "health.canary-commands"}.isdisjoint(found)


def test_with_them_the_events_are() -> None:
    found = archived_topics(TOPICS.values(), {"health.heartbeats"}, canary=True)
    assert set(TOPICS) - set(found) == {"health.heartbeats", "health.canary-commands"}
    assert "health.canary-events" not in archived_topics(TOPICS.values(), {"health.canary-events"}, canary=True)


async def test_what_is_old_enough_is_given_up_topic_by_topic() -> None:
    store = MemoryStore()
    for topic in ("c", "other"):
        for start in (0, 10, 20):
            segment = Segment(PartitionPath(topic, "id-1", 0), start, 0, lambda _: None)
            segment.add([pack([Record(start + i, 1000 + start + i, b"k", (), b"v") for i in range(10)])])
            await store_segment(store, segment, "w")
    await give_up(store, "c", before_ms=1015, grace_s=0)
    rows = {row.topic: (row.start_offset, row.records) for row in await summaries(store)}
    assert rows == {"c": (10, 20), "other": (0, 30)}
