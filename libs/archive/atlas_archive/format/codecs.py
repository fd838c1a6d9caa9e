"""Block codecs of an Avro file, by the names the Avro specification gives them.

A block is never decompressed to more than BLOCK_MAX_BYTES, whoever has put the object there.
"""

import mmap
import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cramjam

# A block ends after the first record past 256 KiB, and a batch of Kafka's, which holds the record, has 64 MiB at most.
BLOCK_MAX_BYTES = 128 * 1024 * 1024
_USUAL_BYTES = 1024 * 1024
_NO_ROOM = "failed to write whole buffer"  # what cramjam says when its output is full
_TOO_LARGE = f"more than {BLOCK_MAX_BYTES} bytes when decompressed"
_own = threading.local()  # room that is used again, by one thread
_ZSTD_LEVEL = 1  # level 3 takes twice the time and saves one byte in a hundred on event data


@dataclass(frozen=True, slots=True)
class Codec:
    """`compress` and `decompress` one block; both raise only what `read_file` turns into CorruptFile."""

    name: str
    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes], bytes]


def _zstd_compress(data: bytes) -> bytes:
    return bytes(cramjam.zstd.compress(data, _ZSTD_LEVEL))


def _zstd_decompress(data: bytes) -> bytes:
    if not hasattr(_own, "room"):
        _own.room = bytearray(_USUAL_BYTES)
    try:
        size = cramjam.zstd.decompress_into(data, _own.room)
        return bytes(memoryview(_own.room)[:size])
    except cramjam.DecompressionError as error:
        if _NO_ROOM not in str(error):
            raise ValueError(str(error)) from None
    with mmap.mmap(-1, BLOCK_MAX_BYTES) as room:  # takes memory only as far as it is written to
        try:
            return room[: cramjam.zstd.decompress_into(data, room)]
        except cramjam.DecompressionError as error:
            raise ValueError(_TOO_LARGE if _NO_ROOM in str(error) else str(error)) from None


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _inflate(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(-15)
    try:
        found = unpacker.decompress(data, BLOCK_MAX_BYTES + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if len(found) > BLOCK_MAX_BYTES:
        raise ValueError(_TOO_LARGE)
    if not unpacker.eof:
        raise ValueError("incomplete or truncated stream")
    return found


def _same(data: bytes) -> bytes:
    return data


CODECS: Mapping[str, Codec] = {
    codec.name: codec
    for codec in (
        Codec("zstandard", _zstd_compress, _zstd_decompress),
        Codec("deflate", _deflate, _inflate),
        Codec("null", _same, _same),
    )
}
