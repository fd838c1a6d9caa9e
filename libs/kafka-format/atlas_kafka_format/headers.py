"""Headers as bytes: exactly the header section of a Kafka record (message format 2).

A zigzag varint with the number of headers; then for each one a zigzag varint with the length of its name, the name in
UTF-8, a zigzag varint with the length of its value (-1 for null) and the value. The writer packs them once; the relay
appends the bytes to a record as they are.
"""

from collections.abc import Sequence

from atlas_avro.varints import long, read_long

NO_HEADERS = b"\x00"


def pack_headers(headers: Sequence[tuple[str, bytes | None]]) -> bytes:
    """The header section of a record with these headers, in their order; repeated names are kept."""
    parts = [long(len(headers))]
    for name, value in headers:
        encoded = name.encode()
        parts += (long(len(encoded)), encoded)
        parts += (long(-1),) if value is None else (long(len(value)), value)
    return b"".join(parts)


def unpack_headers(packed: bytes) -> list[tuple[str, bytes | None]]:
    """The headers that pack_headers was given. Raises ValueError when the bytes are no header section."""
    try:
        count, at = read_long(packed, 0)
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


def _read_bytes(packed: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = read_long(packed, at)
    if length < 0:
        return None, at
    if at + length > len(packed):
        raise IndexError
    return packed[at : at + length], at + length
