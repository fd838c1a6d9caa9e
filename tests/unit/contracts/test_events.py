"""What the record around an event says."""

import pytest
from atlas_contracts.events import Meta


def meta(*headers: tuple[str, bytes]) -> Meta:
    return Meta("t", 0, 5, 1000, b"k", headers)


def test_the_first_header_of_a_name_counts() -> None:
    found = meta(("a", b"1"), ("b", b"2"), ("a", b"3"))
    assert (found.header("a"), found.header("b"), found.header("c")) == ("1", "2", None)


def test_a_header_that_is_no_text_is_none() -> None:
    assert meta(("a", b"\xff")).header("a") is None
    assert meta(("a", None)).header("a") is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("raw", "sequence"),
    [(b"12", 12), (b"1", 1), (b"9223372036854775807", 2**63 - 1)]
    + [(raw, None) for raw in (b"", b"0", b"-1", b"x", b"\xff", b" 1", b"1_0", b"9223372036854775808", b"9" * 5000)],
)
def test_the_sequence_is_a_number_or_none(raw: bytes, sequence: int | None) -> None:
    assert meta(("ce_sequence", raw)).sequence == sequence
    assert meta().sequence is None
