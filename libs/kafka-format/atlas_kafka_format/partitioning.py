"""The partition of a key: what every client with Java's default does (murmur2).

aiokafka has the same function in Python, which takes thirty times as long: 10 µs for 20 bytes.
"""

from murmurhash2 import murmurhash2

_SEED = 0x9747B28C
_WITHOUT_SIGN = 0x7FFFFFFF


def key_hash(key: bytes) -> int:
    """Murmur2 of the key without its sign bit, 0 to 2³¹ - 1; modulo the number of partitions it is Java's choice."""
    hashed: int = murmurhash2(key, _SEED) & _WITHOUT_SIGN
    return hashed


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of a key among `partitions`."""
    return key_hash(key) % partitions
