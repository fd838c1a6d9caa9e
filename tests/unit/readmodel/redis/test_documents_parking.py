from atlas_readmodel.redis.documents_parking import dump, load, load_all, of_key, place_field, place_of
from atlas_readmodel.waiting.parking import Parked, State
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
RECORDS = st.builds(
    Parked,
    topic=st.from_regex(r"[a-z][a-z.]{0,9}", fullmatch=True),
    partition=st.integers(0, 999),
    offset=st.integers(0, 2**62),
    key=st.none() | st.binary(max_size=9),
    value=st.none() | st.binary(max_size=9),
    headers=st.lists(st.tuples(TEXT, st.none() | st.binary(max_size=9)), max_size=3).map(tuple),
    timestamp_ms=st.integers(-1, 2**52),
    state=st.sampled_from(State),
    error=st.none() | TEXT,
    attempts=st.integers(1, 9),
    parked_at_ms=st.integers(0, 2**52),
    request=st.sampled_from([None, "retry", "drop"]),
)


@given(RECORDS)
def test_any_record_comes_back_as_it_was(record: Parked) -> None:
    field = place_field(record.place).encode()
    assert place_of(field) == record.place
    kept = str(record.parked_at_ms).encode() + b" " + dump(record)
    assert load(field, kept, record.request.encode() if record.request else None) == record


def parked(offset: int, key: bytes | None, partition: int = 0) -> Parked:
    return Parked("t", partition, offset, key, None, (), 0, State.DEAD)


def test_they_come_in_order_of_their_offsets() -> None:
    kept = {place_field(("t", 0, offset)).encode(): b"7 " + dump(parked(offset, b"k")) for offset in (10, 9, 100)}
    assert [record.offset for record in load_all(kept, {})] == [9, 10, 100]


def test_a_key_is_that_of_one_partition_and_none_is_no_key() -> None:
    records = [parked(1, b"k"), parked(2, b"k"), parked(3, None), parked(4, None), parked(5, b"k", partition=1)]
    assert of_key(records, records[0]) == records[:2]
    assert of_key(records, records[2]) == [records[2]]
