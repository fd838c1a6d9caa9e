"""What is counted of batches, in and out."""

import time

from atlas_kafka.metrics import incoming, outgoing
from prometheus_client import REGISTRY


def _value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"atlas_kafka_{name}", labels)


def test_what_was_handled_is_counted_with_its_age() -> None:
    place = {"topic": "unit.in", "group": "unit"}
    counted = incoming("unit.in", "unit")
    assert incoming("unit.in", "unit") is counted
    counted.fetched(700)
    counted.handled(70, time.time_ns() // 1_000_000 - 20_000)
    assert _value("fetched_bytes_total", **place) == 700
    assert _value("records_in_total", **place) == 70
    assert (_value("consume_batch_records_sum", group="unit"), _value("consume_batch_records_count", group="unit")) == (
        70,
        1,
    )
    age = _value("record_age_seconds_sum", **place)
    assert age is not None
    assert 20 <= age < 60


def test_of_records_without_a_time_or_from_the_future_the_age_is_not_made_up() -> None:
    place = {"topic": "unit.odd", "group": "unit.odd"}
    incoming("unit.odd", "unit.odd").handled(1, -1)
    assert _value("record_age_seconds_count", **place) == 0
    incoming("unit.odd", "unit.odd").handled(1, time.time_ns() // 1_000_000 + 3_600_000)
    assert (_value("record_age_seconds_count", **place), _value("record_age_seconds_sum", **place)) == (1, 0)


def test_what_was_acknowledged_is_counted() -> None:
    outgoing("unit.out").acknowledged(3, 90)
    outgoing("unit.out").acknowledged(5, 10)
    assert _value("records_out_total", topic="unit.out") == 8
    assert _value("produced_bytes_total", topic="unit.out") == 100
    assert (
        _value("produce_batch_records_sum", topic="unit.out"),
        _value("produce_batch_records_count", topic="unit.out"),
    ) == (8, 2)
