"""Where a row belongs: its shard, and the group of its shard.

These are written into rows, so they never change: a row written yesterday must be found by today's relay.
"""

import zlib

SHARDS = 64
GROUPS = 8
# A group is eight neighbouring shards: group = shard >> 3, the same expression as the index of outbox.records.
_GROUP_SHIFT = 3


def shard_of(topic: str, key: bytes) -> int:
    """The shard (0 to 63) of every row with this topic and key."""
    return zlib.crc32(key, zlib.crc32(topic.encode())) % SHARDS


def group_of(shard: int) -> int:
    """The group (0 to 7) that is leased as a whole."""
    return shard >> _GROUP_SHIFT
