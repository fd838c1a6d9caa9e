"""Decompression: what aiokafka's own gives, and never more than the bound."""

import time
import zlib
from collections.abc import Callable

import cramjam
import pytest
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from atlas_kafka.fetching import inflate
from atlas_kafka.fetching.inflate import CODECS, INFLATED_MAX_BYTES, TooLarge
from hypothesis import given, settings
from hypothesis import strategies as st

ENCODERS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: gzip_encode,
    2: snappy_encode,
    3: lz4_encode,
    4: zstd_encode,
}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(ENCODERS)), st.binary(min_size=1, max_size=3000), st.integers(1, 300))
def test_what_was_compressed_comes_back(codec: int, data: bytes, times: int) -> None:
    assert CODECS[codec](ENCODERS[codec](data * times)) == data * times


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [INFLATED_MAX_BYTES, INFLATED_MAX_BYTES + 1, 4 * INFLATED_MAX_BYTES])
def test_the_bound(codec: int, size: int) -> None:
    packed = bomb(codec, size)
    began = time.process_time()
    if size <= INFLATED_MAX_BYTES:
        assert len(CODECS[codec](packed)) == size
    else:
        with pytest.raises(TooLarge):
            CODECS[codec](packed)
    assert time.process_time() - began < 3


@pytest.mark.parametrize("codec", [1, 3, 4])
def test_what_is_known_to_hold_too_much_is_not_tried_again(codec: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflate, "_known", {})
    monkeypatch.setattr(inflate, "_KNOWN_MAX", 2)
    bombs = [bomb(codec, INFLATED_MAX_BYTES + more) for more in (1, 2, 3)]
    for packed in bombs:
        with pytest.raises(TooLarge):
            CODECS[codec](packed)
    assert len(inflate._known) == 2
    good = ENCODERS[codec](b"good" * 9)
    assert CODECS[codec](good) == b"good" * 9

    def tried(*_: object) -> None:
        raise AssertionError("decompressed once more")

    monkeypatch.setattr(zlib, "decompressobj", tried)
    monkeypatch.setattr(cramjam.lz4, "decompress_into", tried)
    monkeypatch.setattr(cramjam.zstd, "decompress_into", tried)
    for packed in bombs[1:]:
        with pytest.raises(TooLarge):
            CODECS[codec](packed)
    with pytest.raises(AssertionError):  # forgotten, for want of room
        CODECS[codec](bombs[0])


@pytest.mark.parametrize("codec", [3, 4])
def test_above_what_frames_promise_it_is_tried(codec: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(range(256)) * 1000
    monkeypatch.setattr(inflate, "INFLATED_MAX_BYTES", len(data))
    monkeypatch.setattr(inflate, "_zstd_most", lambda _: len(data) + 1)
    assert CODECS[codec](ENCODERS[codec](data)) == data
    with pytest.raises(TooLarge):
        CODECS[codec](ENCODERS[codec](data + b"\0"))
    with pytest.raises(ValueError, match=r"^(?!more than)"):
        CODECS[codec](ENCODERS[codec](data)[:-200])


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_other_bytes_raise_what_is_no_surprise(codec: int) -> None:
    packed = ENCODERS[codec](b"some bytes " * 100)
    for case in (b"", packed[:10], packed[:-3], b"\xff" * 40):
        try:
            CODECS[codec](case)
        except (ValueError, cramjam.DecompressionError):
            continue


def test_members_of_gzip_and_what_follows_them() -> None:
    assert inflate.gzip(gzip_encode(b"a") + gzip_encode(b"b") + b"xx") == b"ab"
    with pytest.raises(TooLarge):
        inflate.gzip(bomb(1, INFLATED_MAX_BYTES // 2 + 1) * 2)


def test_snappy_blocks_add_up() -> None:
    block = bytes(cramjam.snappy.compress_raw(bytes(2**24)))
    head = b"\x82SNAPPY\0\0\0\0\1\0\0\0\1"
    with pytest.raises(TooLarge):
        inflate.snappy(head + (len(block).to_bytes(4, "big") + block) * 5)
    for case in (head + b"\xff\xff\xff\xff", b"\xff" * 9):
        with pytest.raises(ValueError, match="snappy"):
            inflate.snappy(case + b"12")


def bomb(codec: int, size: int) -> bytes:
    if codec == 1:
        packer = zlib.compressobj(wbits=31)
        return b"".join(packer.compress(bytes(min(2**24, size - at))) for at in range(0, size, 2**24)) + packer.flush()
    if codec == 2:
        return bytes(cramjam.snappy.compress_raw(bytes(size)))
    return bytes((cramjam.lz4 if codec == 3 else cramjam.zstd).compress(bytes(size)))
