from atlas_outbox.shards import GROUPS, SHARDS, group_of, shard_of


def test_shards_never_move():
    assert [shard_of("yards.events", key) for key in (b"", b"a", b"yard-1", b"yard-2")] == [36, 33, 56, 2]


def test_every_shard_and_group_is_used():
    shards = {shard_of("t", str(n).encode()) for n in range(2000)}
    assert shards == set(range(SHARDS))
    assert {group_of(shard) for shard in shards} == set(range(GROUPS))


def test_the_topic_is_part_of_the_hash():
    assert len({shard_of(f"topic-{n}", b"same") for n in range(50)}) > 10
