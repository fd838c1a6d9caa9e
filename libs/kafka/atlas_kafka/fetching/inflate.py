"""Decompresses Kafka's batches within a bound: 1 MB of zstd can hold 30 GB of zeros, and any producer can send it.

A batch that fits is decompressed as aiokafka does it; what it holds at most is known from its frames, without looking
into them. Only where that is too much is it tried, into memory of the bound's size.
"""

import hashlib
import mmap
import struct
import zlib
from collections.abc import Callable, Mapping

import cramjam

from atlas_kafka.internals.records import lz4_decode, snappy_decode, zstd_decode

# Far above what producers make (1 MB unless they are told otherwise), and little enough to hold a few at a time. Not a
# setting: the archiver and whoever compares its archive with the topic must agree.
INFLATED_MAX_BYTES = 64 * 1024 * 1024
_LZ4_MOST = 255  # what a byte of lz4 can stand for
_MOST = {1: 1032, 2: 64, 3: _LZ4_MOST}  # of gzip, snappy and lz4
_ZSTD_MAGIC, _ZSTD_SKIPPED = 0xFD2FB528, range(0x184D2A50, 0x184D2A60)
_ZSTD_BLOCK = 128 * 1024  # the most that a block can hold
_NO_ROOM = "failed to write whole buffer"  # what cramjam says when its output is full
# Data known to hold too much, by their digests: each projection of a process reads them, and some more than once.
_KNOWN_MAX = 1024
_known: dict[bytes, None] = {}
_XERIAL = b"\x82SNAPPY\0"
_XERIAL_HEADER_BYTES = 16


class TooLarge(ValueError):
    """The data hold more than INFLATED_MAX_BYTES."""

    def __init__(self) -> None:
        super().__init__(f"more than {INFLATED_MAX_BYTES} bytes when decompressed")


def gzip(data: bytes) -> bytes:
    """What follows the last member is ignored, as brokers ignore it. Raises TooLarge, or ValueError for other bytes."""
    data = bytes(data)
    _refuse_known(data)
    left, parts, size = data, list[bytes](), 0
    while left:
        unpacker = zlib.decompressobj(31)
        try:
            part = unpacker.decompress(left, INFLATED_MAX_BYTES + 1 - size)
        except zlib.error as error:
            if parts:
                break
            raise ValueError(f"gzip: {error}") from None
        parts.append(part)
        size += len(part)
        if size > INFLATED_MAX_BYTES:
            raise _too_large(data)
        if not unpacker.eof:
            raise ValueError("gzip: truncated")
        left = unpacker.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


def snappy(data: bytes) -> bytes:
    """The form that Java's clients use, or one block. Raises TooLarge, or ValueError for other bytes."""
    data = bytes(data)
    size = at = 0
    if data[: len(_XERIAL)] == _XERIAL:
        at = _XERIAL_HEADER_BYTES
        while at < len(data) and size <= INFLATED_MAX_BYTES:
            (block,) = struct.unpack_from(">i", data, at)
            if block < 0:
                raise ValueError("snappy: a negative length")
            size += _snappy_size(data, at + 4)
            at += 4 + block
    else:
        size = _snappy_size(data, 0)
    if size > INFLATED_MAX_BYTES:
        raise TooLarge
    return bytes(snappy_decode(data))


def lz4(data: bytes) -> bytes:
    """Raises TooLarge, or an error of cramjam's for other bytes."""
    data = bytes(data)
    if len(data) * _LZ4_MOST <= INFLATED_MAX_BYTES:
        return bytes(lz4_decode(data))
    return _into_bound(cramjam.lz4.decompress_into, data)


def zstd(data: bytes) -> bytes:
    """Raises TooLarge, or an error of cramjam's for other bytes."""
    data = bytes(data)
    if _zstd_most(data) <= INFLATED_MAX_BYTES:
        return bytes(zstd_decode(data))
    return _into_bound(cramjam.zstd.decompress_into, data)


# By the number of the codec in a batch's attributes.
CODECS: Mapping[int, Callable[[bytes], bytes]] = {0: bytes, 1: gzip, 2: snappy, 3: lz4, 4: zstd}


def at_most(codec: int, data: bytes) -> int:
    """The most that data of this codec can hold, without decompressing them."""
    if codec == 4:
        return _zstd_most(data)
    return len(data) * _MOST.get(codec, 1)


def _into_bound(decompress: Callable[[bytes, mmap.mmap], int], data: bytes) -> bytes:
    _refuse_known(data)
    with mmap.mmap(-1, INFLATED_MAX_BYTES) as room:  # takes memory only as far as it is written to
        try:
            size = decompress(data, room)
        except cramjam.DecompressionError as error:
            if _NO_ROOM in str(error):
                raise _too_large(data) from None
            raise ValueError(str(error)) from None
        return room[:size]


def _refuse_known(data: bytes) -> None:
    if _known and hashlib.sha256(data).digest() in _known:
        raise TooLarge


def _too_large(data: bytes) -> TooLarge:
    """Keeps in mind that these data are."""
    for oldest in list(_known)[: max(0, len(_known) + 1 - _KNOWN_MAX)]:
        _known.pop(oldest, None)  # another thread may have been as quick
    _known[hashlib.sha256(data).digest()] = None
    return TooLarge()


def _snappy_size(data: bytes, at: int) -> int:
    """What a block says that it holds; the decoder holds it to that."""
    size = shift = 0
    while True:
        if at >= len(data) or shift > 28:
            raise ValueError("snappy: no length")
        size |= (data[at] & 127) << shift
        if data[at] < 128:
            return size
        at, shift = at + 1, shift + 7


def _zstd_most(data: bytes) -> int:
    """What the frames hold at most; INFLATED_MAX_BYTES + 1 where they are not understood, so that it is tried."""
    at = most = 0
    try:
        while at < len(data):
            (magic,) = struct.unpack_from("<I", data, at)
            if magic in _ZSTD_SKIPPED:
                at += 8 + struct.unpack_from("<I", data, at + 4)[0]
                continue
            if magic != _ZSTD_MAGIC:
                return INFLATED_MAX_BYTES + 1
            descriptor = data[at + 4]
            single, dictionary, sized = descriptor >> 5 & 1, descriptor & 3, descriptor >> 6
            at += 5 + (not single) + (0, 1, 2, 4)[dictionary] + ((single, 2, 4, 8)[sized])
            last = False
            while not last:
                block = int.from_bytes(data[at : at + 3], "little")
                last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
                most += size if kind < 2 else _ZSTD_BLOCK
                at += 3 + (1 if kind == 1 else size)
                if most > INFLATED_MAX_BYTES or at > len(data):
                    return INFLATED_MAX_BYTES + 1
            at += 4 * (descriptor >> 2 & 1)
    except (struct.error, IndexError):
        return INFLATED_MAX_BYTES + 1
    return most
