"""Headers as bytes: exactly the header section of a Kafka record (message format 2).

A zigzag varint with the number of headers; then for each one a zigzag varint with the length of its name, the name in
UTF-8, a zigzag varint with the length of its value (-1 for null) and the value. The writer packs them once; the relay
appends the bytes to a record as they are.
"""

from collections.abc import Sequence

NO_HEADERS = b"\x00"


def varint(number: int) -> bytes:
    """Kafka's varint: zigzag, then seven bits a byte, lowest first."""
    rest = (number << 1) ^ (number >> 63)
    if rest < 0x80:
        return bytes((rest,))
    encoded = bytearray()
    while rest >= 0x80:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


def pack_headers(headers: Sequence[tuple[str, bytes | None]]) -> bytes:
    """The header section of a record with these headers, in their order; repeated names are kept."""
    parts = [varint(len(headers))]
    for name, value in headers:
        encoded = name.encode()
        parts += (varint(len(encoded)), encoded)
        parts += (varint(-1),) if value is None else (varint(len(value)), value)
    return b"".join(parts)


def unpack_headers(packed: bytes) -> list[tuple[str, bytes | None]]:
    """The headers that pack_headers was given. Raises ValueError when the bytes are no header section."""
    try:
        count, at = read_varint(packed, 0)
        headers: list[tuple[str, bytes | None]] = []
        for _ in range(count):
            name, at = _read_bytes(packed, at)
            value, at = _read_bytes(packed, at)
            headers.append(((name or b"").decode(), value))
    except IndexError:
        raise ValueError("the header section ends early") from None
    if at != len(packed):
        raise ValueError(f"{len(packed) - at} bytes follow the header section")
    return headers


def read_varint(packed: bytes, at: int) -> tuple[int, int]:
    """The number that begins at a place, and the place after it. Raises IndexError when the bytes end too early."""
    value = shift = 0
    while True:
        byte = packed[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7


def _read_bytes(packed: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = read_varint(packed, at)
    if length < 0:
        return None, at
    if at + length > len(packed):
        raise IndexError
    return packed[at : at + length], at + length
