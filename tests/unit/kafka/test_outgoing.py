"""Partitioning and sizes; sending is tested against a real broker."""

from aiokafka.partitioner import murmur2
from atlas_kafka.outgoing import RECORD_OVERHEAD_BYTES, Outgoing, partition_for, size_of
from hypothesis import given
from hypothesis import strategies as st


def test_partition_of_known_keys_is_the_java_clients() -> None:
    # From Kafka's own UtilsTest: murmur2("21") = -973932308, murmur2("foobar") = -790332482.
    assert partition_for(b"21", 1_000_003) == (-973932308 & 0x7FFFFFFF) % 1_000_003
    assert partition_for(b"foobar", 1_000_003) == (-790332482 & 0x7FFFFFFF) % 1_000_003


@given(st.binary(), st.integers(1, 1000))
def test_partition_is_that_of_other_clients(key: bytes, partitions: int) -> None:
    assert partition_for(key, partitions) == (murmur2(key) & 0x7FFFFFFF) % partitions


def test_size_counts_headers() -> None:
    bare = Outgoing("t", b"k", b"v" * 10)
    assert size_of(bare) == 11 + RECORD_OVERHEAD_BYTES
    assert size_of(Outgoing("t", b"k", b"v" * 10, [("name", b"value")])) == size_of(bare) + 13
