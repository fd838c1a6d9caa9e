"""Batches that were sent, and the rows that are taken for them."""

import pytest
from atlas_outbox.relaying.sent import Row, Sent, pack_sent, sent_of, unpack_sent
from hypothesis import given
from hypothesis import strategies as st

IDS = st.lists(st.integers(1, 2**63 - 1), min_size=1, max_size=30, unique=True)
SENT = st.builds(Sent, IDS.map(tuple), st.binary(min_size=16, max_size=16))


def row(row_id: int, key: bytes = b"k", headers: bytes = b"\x00", value: bytes | None = b"v") -> Row:
    return (0, row_id, 0, "t", key, value, headers)


def there(*rows: Row) -> dict[int, tuple[bytes, bytes]]:
    return {row[1]: (row[4], row[6]) for row in rows}


@given(st.lists(SENT, max_size=5))
def test_what_is_packed_is_unpacked(batches):
    assert unpack_sent(pack_sent(batches)) == batches


@given(st.lists(SENT, min_size=1, max_size=3), st.data())
def test_a_mark_that_is_cut_is_no_mark_or_fewer_batches(batches, data):
    packed = pack_sent(batches)
    cut = packed[: data.draw(st.integers(0, len(packed) - 1))]
    try:
        found = unpack_sent(cut)
    except ValueError:
        return
    assert found == batches[: len(found)] != batches


def test_ids_that_lie_close_together_take_a_byte_each():
    batch = sent_of([row(10**12 + 2 * n) for n in range(5000)])
    assert len(pack_sent([batch])) < 16 + 5000 + 20


@given(IDS)
def test_a_batch_is_its_rows_in_whatever_order_they_are_found(ids):
    rows = [row(row_id, b"k%d" % row_id) for row_id in ids]
    assert sent_of(rows).is_all_of(there(*sorted(rows), row(-1)))


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([row(1, headers=b"a")], id="one is missing"),
        pytest.param([row(1, headers=b"a"), row(2, headers=b"c")], id="another event has its id"),
        pytest.param([row(1, headers=b"a"), row(2, b"other", b"b")], id="another key has its id"),
        pytest.param([row(1, headers=b"b"), row(2, headers=b"a")], id="ids changed places"),
        pytest.param([], id="nothing is there"),
    ],
)
def test_other_rows_are_not_taken_for_a_batch(others):
    batch = sent_of([row(1, headers=b"a"), row(2, headers=b"b")])
    assert not batch.is_all_of(there(*others))
