"""The produce request on the wire, and what is read out of an answer."""

from types import SimpleNamespace

from atlas_kafka.producing.produce_answers import Answer
from atlas_kafka.wire.produce import Produce, ProduceInTransaction, answers_of

TOPICS = {"t": [(0, b"abc"), (2, b"de")]}


def test_both_requests_hold_the_same_batches() -> None:
    plain = Produce(1000, TOPICS).prepare({0: (0, 12)})
    transactional = ProduceInTransaction("id", 1000, TOPICS).prepare({0: (0, 12)})
    assert (plain.API_VERSION, transactional.API_VERSION) == (9, 12)
    tail = plain.encode()[1:]  # behind the null id
    assert transactional.encode() == b"\x03id" + tail
    assert b"abc" in tail


def test_answers_by_partition_with_the_records_that_are_named() -> None:
    partitions = [(0, 0, 17, -1, 0, [], None, {}), (2, 87, -1, -1, 0, [(1, None, {}), (3, "no key", {})], "bad", {})]
    assert answers_of(SimpleNamespace(topics=[("t", partitions, {})])) == {
        ("t", 0): Answer(0, 17, None, []),
        ("t", 2): Answer(87, -1, "bad", [(1, "bad"), (3, "no key")]),
    }
