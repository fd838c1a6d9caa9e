"""Where a row belongs: its shard, the group of its shard, its place among a topic's partitions.

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


def key_hash(key: bytes) -> int:
    """Murmur2 of the key without its sign bit; modulo the number of partitions it is the Java client's choice."""
    length = len(key)
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    value = 0x9747B28C ^ length
    whole = length & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(key[at : at + 4], "little") * multiplier & mask
        word = (word ^ (word >> 24)) * multiplier & mask
        value = (value * multiplier & mask) ^ word
    if whole < length:
        value = (value ^ int.from_bytes(key[whole:], "little")) * multiplier & mask
    value = (value ^ (value >> 13)) * multiplier & mask
    return (value ^ (value >> 15)) & 0x7FFFFFFF
