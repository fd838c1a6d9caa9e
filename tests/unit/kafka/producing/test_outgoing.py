"""Sizes; sending is tested against a real broker."""

from atlas_kafka.producing.outgoing import RECORD_OVERHEAD_BYTES, Outgoing, size_of


def test_size_counts_headers() -> None:
    bare = Outgoing("t", b"k", b"v" * 10)
    assert size_of(bare) == 11 + RECORD_OVERHEAD_BYTES
    assert size_of(Outgoing("t", b"k", b"v" * 10, [("name", b"value")])) == size_of(bare) + 13
