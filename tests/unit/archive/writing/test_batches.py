"""Records as Kafka stores them: what the client's own builder packs is found where `places` says."""

from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from atlas_archive.format.records import Record
from atlas_archive.writing.batches import NULL, pack, places
from atlas_avro.varints import read_long
from hypothesis import given, settings
from hypothesis import strategies as st

BATCH_HEADER = 61

_records = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 2**40),
        st.none() | st.binary(max_size=200),
        st.none() | st.binary(max_size=200),
        st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=100, deadline=None)
@given(_records)
def test_a_packed_batch_is_what_a_producer_makes(drawn: list[Any]) -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 2**24)
    records, offset = [], 0
    for gap, time, key, value, headers in drawn:
        offset += gap
        records.append(Record(offset, time, key, tuple(headers), value))
        builder.append(offset, time, key, value, headers)
        offset += 1
    batch = pack(records)
    first = records[0].offset
    if first == 0:  # the builder's offsets are counted from 0
        assert batch.data() == bytes(builder.build())[BATCH_HEADER:]
    assert (batch.base_offset, batch.start_offset, batch.offset) == (first, first, records[-1].offset)
    for record, place in zip(records, places(batch.data(), batch.records), strict=True):
        stamp, step, key_at, size_at, value_at, headers_at, end = place
        data = batch.data()
        assert (first + (step >> 1), data[key_at] == NULL) == (record.offset, record.key is None)
        assert batch.base_timestamp + ((stamp >> 1) ^ -(stamp & 1)) == record.timestamp
        assert record.key is None or data[key_at:size_at].endswith(record.key)
        assert data[value_at:headers_at] == (record.value or b"")
        assert read_long(data, headers_at)[0] == len(record.headers)
        assert headers_at < end


def test_a_record_shorter_than_its_value_is_refused() -> None:
    data = bytearray(pack([Record(0, 0, None, (), b"value")]).data())
    data[0] -= 4
    with pytest.raises(ValueError, match="whose value ends at"):
        list(places(bytes(data), 1))
    with pytest.raises(IndexError):
        list(places(b"", 1))
