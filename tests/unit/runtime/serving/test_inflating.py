"""Compressed bodies: what was put in comes out, whatever the pieces; what is none is said to be none."""

import gzip
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from atlas_runtime.serving.inflating import CODINGS, MEMBERS_MAX, STEP_BYTES, Inflater, NotCompressed, coding_of
from hypothesis import given
from hypothesis import strategies as st


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKERS = {"gzip": gzip.compress, "deflate": zlib.compress}


def _inflate(coding: str, body: bytes, size: int = 1 << 20) -> bytes:
    inflater = Inflater(coding)
    pieces = [piece for at in range(0, len(body), size) for piece in inflater.feed(body[at : at + size])]
    inflater.finish()
    assert all(0 < len(piece) <= STEP_BYTES for piece in pieces)
    return b"".join(pieces)


@given(
    data=st.one_of(
        st.binary(max_size=5000), st.builds(lambda one, n: one * n, st.binary(min_size=1), st.integers(0, 20_000))
    ),
    size=st.integers(1, 9000),
)
def test_what_was_put_in_comes_out(data: bytes, size: int) -> None:
    assert _inflate("gzip", gzip.compress(data), size) == data
    assert _inflate("deflate", zlib.compress(data), size) == data
    assert _inflate("deflate", _raw_deflate(data), size) == data


@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=20), size=st.integers(1, 200))
def test_members_of_gzip_are_one_body(parts: list[bytes], size: int) -> None:
    assert _inflate("gzip", b"".join(gzip.compress(part) for part in parts), size) == b"".join(parts)


@given(data=st.binary(max_size=2000), cut=st.integers(1, 2000), packer=st.sampled_from(["gzip", "deflate"]))
def test_a_cut_body_is_none(data: bytes, cut: int, packer: str) -> None:
    whole = PACKERS[packer](data)
    with pytest.raises(NotCompressed):
        _inflate(packer, whole[: -min(cut, len(whole) - 1)])


@given(rubbish=st.binary(min_size=1, max_size=100).filter(lambda data: not data.startswith(b"\x1f")))
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_that_goes_on_is_none(coding: str, rubbish: bytes) -> None:
    with pytest.raises(NotCompressed, match="end"):
        _inflate(coding, PACKERS[coding](b"x" * 100) + rubbish)


@given(body=st.binary(max_size=500))
@pytest.mark.parametrize("coding", CODINGS)
def test_any_bytes_are_inflated_or_refused(coding: str, body: bytes) -> None:
    with suppress(NotCompressed):
        _inflate(coding, body)


@pytest.mark.parametrize(
    ("coding", "body"), [("gzip", b'{"a": 1}'), ("deflate", b'{"a": 1}'), ("gzip", b"\x1f\x8b\x08")]
)
def test_json_is_not_compressed(coding: str, body: bytes) -> None:
    with pytest.raises(NotCompressed, match=coding):
        _inflate(coding, body)


def test_a_bomb_takes_the_memory_of_one_step() -> None:
    bomb = gzip.compress(bytes(200_000_000), 9)
    tracemalloc.start()
    inflater, size = Inflater("gzip"), 0
    for piece in inflater.feed(bomb):
        size += len(piece)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == 200_000_000
    assert peak < 2_000_000, "the body is never held"


def test_members_without_end_are_refused() -> None:
    empty = gzip.compress(b"")
    assert _inflate("gzip", empty * MEMBERS_MAX) == b""
    with pytest.raises(NotCompressed, match="members"):
        _inflate("gzip", empty * 800_000)


@pytest.mark.parametrize(
    ("values", "coding"),
    [([], None), (["identity"], None), ([""], None), (["GZIP"], "gzip"), (["x-gzip"], "gzip"),
     ([" deflate "], "deflate"), (["identity, gzip"], "gzip")],
)  # fmt: skip
def test_the_coding_of_headers(values: list[str], coding: str | None) -> None:
    assert coding_of(values) == coding


@pytest.mark.parametrize(
    "values", [["br"], ["zstd"], ["x"], ["gzip, gzip"], ["gzip", "deflate"], ["\udcff"], ["x" * 9000]]
)
def test_other_codings_are_named(values: list[str]) -> None:
    with pytest.raises(ValueError, match=r"^.{1,100}$"):
        coding_of(values)
