"""Integers as Avro and Kafka write them: zigzag, then seven bits a byte, the lowest first."""

from functools import lru_cache


def unsigned(number: int) -> bytes:
    """The varint of a number that is zigzagged already (or never negative)."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


@lru_cache(maxsize=256)
def unsigned_kept(number: int) -> bytes:
    """`unsigned` of numbers that come again and again, such as the high part of timestamps."""
    return unsigned(number)


def long(number: int) -> bytes:
    """The bytes of an Avro int or long, and of Kafka's varint and varlong."""
    rest = number << 1 if number >= 0 else (-number << 1) - 1
    if rest < 128:  # of most lengths
        return bytes((rest,))
    out = bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def read_unsigned(data: bytes, at: int) -> tuple[int, int]:
    """The varint at `at`, still zigzagged, and the place after it. Raises IndexError, or ValueError past 10 bytes."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
        if shift > 63:
            raise ValueError("an integer longer than 10 bytes")


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at` that `long` wrote, and the place after it. Raises as `read_unsigned`.

    A loop of its own, as a call more costs a fifth.
    """
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        if byte < 128:
            number |= byte << shift
            return (number >> 1) ^ -(number & 1), at
        number |= (byte & 127) << shift
        shift += 7
        if shift > 63:
            raise ValueError("an integer longer than 10 bytes")


@lru_cache(maxsize=1)
def two_byte_table() -> list[bytes]:
    """The low 14 bits of a longer varint, both bytes marked as going on: most of an offset in one look-up."""
    return [bytes((n & 127 | 128, n >> 7 | 128)) for n in range(1 << 14)]


@lru_cache(maxsize=1)
def length_table() -> list[bytes]:
    """The Avro longs 0 … 4095: the length of nearly every key and value."""
    return [long(n) for n in range(4096)]
