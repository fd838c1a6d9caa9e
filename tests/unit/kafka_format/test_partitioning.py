"""A key's partition is Kafka's own: by the vectors of its tests, and by aiokafka's copy in Python."""

import pytest
from aiokafka.partitioner import murmur2
from atlas_kafka_format.partitioning import key_hash, partition_for
from hypothesis import given
from hypothesis import strategies as st

# Of Kafka's UtilsTest.testMurmur2.
VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", VECTORS)
def test_the_hash_is_kafkas(key: bytes) -> None:
    assert key_hash(key) == VECTORS[key] & 0x7FFFFFFF


@given(st.binary(max_size=100), st.integers(1, 10_000))
def test_the_partition_is_what_kafka_clients_choose(key: bytes, partitions: int) -> None:
    assert key_hash(key) == murmur2(key) & 0x7FFFFFFF
    assert partition_for(key, partitions) == (murmur2(key) & 0x7FFFFFFF) % partitions


def test_every_length_is_hashed_as_kafka_does() -> None:
    """The last one to three bytes are mixed in apart, and bytes above 127 are negative in Java."""
    for length in range(40):
        key = bytes((255 - number * 7) & 255 for number in range(length))
        assert key_hash(key) == murmur2(key) & 0x7FFFFFFF, length
