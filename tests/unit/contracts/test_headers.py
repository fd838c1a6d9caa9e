"""CloudEvents headers."""

import time
import uuid

from atlas_contracts.headers import cloud_event_headers, new_id
from atlas_contracts.values.timestamps import parse_rfc3339


def test_all_attributes_are_headers() -> None:
    headers = cloud_event_headers(
        event_type="yards.YardRegistered",
        source="gateway",
        subject="u-1",
        event_id="e-1",
        time_ms=1_357_035_300_000,
        sequence=3,
        trace=[("traceparent", b"00-a-b-01")],
    )
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"e-1",
        "ce_type": b"yards.YardRegistered",
        "ce_source": b"gateway",
        "ce_time": b"2013-01-01T10:15:00.000Z",
        "ce_subject": b"u-1",
        "ce_sequence": b"3",
        "content-type": b"application/avro",
        "traceparent": b"00-a-b-01",
    }
    assert len(headers) == len(dict(headers))


def test_id_and_time_are_made_and_absent_options_give_no_header() -> None:
    before = time.time_ns() // 1_000_000
    headers = dict(cloud_event_headers(event_type="t", source="s", subject="x"))
    assert before <= parse_rfc3339(headers["ce_time"].decode()) <= time.time_ns() // 1_000_000
    assert uuid.UUID(headers["ce_id"].decode()).version == 7
    assert "ce_sequence" not in headers
    assert "traceparent" not in headers


def test_ids_are_unique_and_sorted_by_time() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert ids == sorted(ids)
