"""Block codecs: what goes in comes out, and what nobody wrote is a ValueError."""

import pytest
from atlas_archive.format import codecs
from atlas_archive.format.codecs import CODECS
from hypothesis import given
from hypothesis import strategies as st

NAMES = sorted(CODECS)


def test_the_names_are_those_of_the_specification() -> None:
    assert NAMES == ["deflate", "null", "zstandard"]


@given(st.sampled_from(NAMES), st.binary(max_size=5000))
def test_round_trip(name: str, data: bytes) -> None:
    codec = CODECS[name]
    assert codec.decompress(codec.compress(data)) == data


@pytest.mark.parametrize("name", ["deflate", "zstandard"])
@pytest.mark.parametrize("damage", [b"", b"\xff" * 40])
def test_damage_is_a_value_error(name: str, damage: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        CODECS[name].decompress(damage + CODECS[name].compress(b"data" * 100)[: -5 if not damage else None])


@pytest.mark.parametrize("name", ["deflate", "zstandard"])
def test_events_get_smaller(name: str) -> None:
    data = b"".join(b"hauls.HaulDeparted %d EWR IAH" % i for i in range(500))
    assert len(CODECS[name].compress(data)) < len(data) / 3


@pytest.mark.parametrize("name", ["zstandard", "deflate"])
def test_a_block_is_decompressed_within_a_bound(name: str) -> None:
    codec = CODECS[name]
    for size in (codecs._USUAL_BYTES, codecs._USUAL_BYTES + 1, codecs.BLOCK_MAX_BYTES):
        assert len(codec.decompress(codec.compress(bytes(size)))) == size
    bomb = codec.compress(bytes(codecs.BLOCK_MAX_BYTES + 1))
    with pytest.raises(ValueError, match="more than 134217728 bytes"):
        codec.decompress(bomb)
