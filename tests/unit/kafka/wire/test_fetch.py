"""A fetch by id has the limits of the one by name, and leaves out what has no id."""

import uuid

from aiokafka import TopicPartition
from atlas_kafka.internals.fetching import READ_UNCOMMITTED, FetchRequest
from atlas_kafka.wire.fetch import FetchOfIds

ID = uuid.UUID("00000000-0000-4000-8000-00000000002a")
NAMED = FetchRequest(
    500, 1, 2**20, READ_UNCOMMITTED, [("t", [(0, 5, 100), (1, 6, 200)]), ("unknown", [(0, 0, 1)])], "r"
)


def test_what_has_an_id_is_asked_for_by_it() -> None:
    request = FetchOfIds(NAMED, {"t": str(ID)}, {TopicPartition("t", 1)})
    ((topic, ((partition, _epoch, offset, *_more),), _tags),) = request.topics
    assert (topic, partition, offset) == (ID, 0, 5)
    made = request.prepare({1: (0, 13)})
    assert (made.max_wait_ms, made.min_bytes, made.max_bytes, made.rack_id) == (500, 1, 2**20, "r")
    assert ID.bytes in made.encode()
    assert (made.session_id, made.session_epoch) == (0, -1), "a session would have the broker remember names"


def test_nothing_is_asked_for_where_nothing_has_an_id() -> None:
    assert FetchOfIds(NAMED, {}).topics == []
