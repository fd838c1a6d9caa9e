import pytest
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from atlas_kafka_format.headers import NO_HEADERS, pack_headers, unpack_headers
from hypothesis import given
from hypothesis import strategies as st

HEADERS = st.lists(st.tuples(st.text(max_size=80), st.none() | st.binary(max_size=200)), max_size=12)


@given(HEADERS)
def test_what_is_packed_comes_back(headers):
    assert unpack_headers(pack_headers(headers)) == headers


@given(HEADERS)
def test_packed_headers_are_the_end_of_the_record_that_the_client_builds(headers):
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
    builder.append(offset=0, timestamp=0, key=b"k", value=b"v", headers=headers)
    batch = bytes(builder.build())
    assert batch.endswith(b"\x02k\x02v" + pack_headers(headers))
    assert list(next(iter(DefaultRecordBatch(batch))).headers) == headers


def test_no_headers():
    assert pack_headers([]) == NO_HEADERS
    assert unpack_headers(NO_HEADERS) == []


@pytest.mark.parametrize("packed", [b"", b"\x02", b"\x02\x04a", b"\x00x", b"\x02\x02a\x08bc"])
def test_broken_bytes_are_refused(packed):
    with pytest.raises(ValueError, match="header section"):
        unpack_headers(packed)
