"""Partitions are shared out whole, once each, and about evenly."""

from aiokafka import TopicPartition
from atlas_projector.rebuilding.workers import share
from hypothesis import given
from hypothesis import strategies as st

SIZES = st.dictionaries(st.integers(0, 40), st.integers(0, 10**9), min_size=1)


@given(sizes=SIZES, workers=st.integers(1, 8))
def test_every_partition_has_one_worker(sizes: dict[int, int], workers: int) -> None:
    targets = {TopicPartition("t", number): size for number, size in sizes.items()}
    parts = share(targets, workers)
    assert len(parts) <= workers
    assert all(parts)
    assert sorted((tp, until) for part in parts for tp, until in part.items()) == sorted(targets.items())
    # No worker has more than a fair part and the largest partition.
    assert max(sum(part.values()) for part in parts) <= sum(sizes.values()) / workers + max(sizes.values())
