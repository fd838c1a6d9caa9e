"""The decisions of the protocol, one by one; tests/unit/relay/test_batch_loop.py tries them together."""

from collections.abc import Callable

import pytest
from atlas_outbox.parking import Key
from atlas_outbox.relaying.sent import Row
from atlas_relay.protocol import Caution, Refused, rows_to_park


def row(row_id: int, key: bytes = b"k", topic: str = "t", group: int = 0, value: bytes = b"good") -> Row:
    return (group, row_id, 0, topic, key, value, b"\x00")


def too_bad(row: Row) -> str | None:
    return "refused" if row[5] == b"bad" else None


def aside(
    *rows: Row, parked: dict[int, dict[Key, int]] | None = None, reason: Callable[[Row], str | None] = too_bad
) -> dict[int, list[tuple[int, str | None]]]:
    """What is set aside, by group, in its order."""
    return {group: list(errors.items()) for group, errors in rows_to_park(rows, parked or {}, reason).items()}


def test_the_later_rows_of_a_bad_row_are_parked_with_it_in_order_and_no_others():
    rows = (row(1), row(2, value=b"bad"), row(3, b"other"), row(4), row(5, value=b"bad"), row(6), row(7, b"other"))
    assert aside(*rows) == {0: [(2, "refused"), (4, None), (5, None), (6, None)]}


def test_rows_behind_a_parked_one_are_parked_and_rows_before_it_are_sent():
    parked = {0: {("t", b"k"): 5}}
    assert aside(row(4), row(6), row(7), row(8, b"other"), parked=parked) == {0: [(6, None), (7, None)]}


def test_a_key_is_one_of_its_topic():
    rows = (row(1, value=b"bad"), row(2, topic="u"), row(3))
    assert aside(*rows) == {0: [(1, "refused"), (3, None)]}
    assert aside(row(9, topic="u"), row(10), parked={0: {("t", b"k"): 5}}) == {0: [(10, None)]}


def test_each_group_has_what_is_parked_of_its_own():
    rows = (row(1, value=b"bad"), row(3), row(2, group=1), row(4, group=1))
    assert aside(*rows, parked={1: {("t", b"k"): 3}}) == {0: [(1, "refused"), (3, None)], 1: [(4, None)]}


def test_what_is_remembered_of_parked_rows_is_not_changed():
    parked: dict[int, dict[Key, int]] = {0: {("t", b"k"): 5}}
    aside(row(6, b"new", value=b"bad"), row(7, b"new"), parked=parked)
    assert parked == {0: {("t", b"k"): 5}}


def test_nothing_is_set_aside_without_a_reason():
    assert aside(row(1), row(2), parked={0: {}}) == {}


def test_a_single_refused_row_is_condemned_until_it_is_parked():
    caution = Caution(100)
    caution.refused(Refused([([7], "too large")]))
    assert caution.condemned == {7: "too large"}
    assert (caution.rows, caution.wire_rows) == (100, 100), "the others need no smaller batches"
    caution.parked([7, 8])
    assert caution.condemned == {}


def test_a_refused_batch_is_halved_down_to_one_row_and_grows_again():
    caution, ids = Caution(400), list(range(300))
    sizes = []
    while caution.wire_rows > 1:
        caution.refused(Refused([(ids[: caution.wire_rows], "invalid")]))
        sizes.append(caution.wire_rows)
    assert sizes == [150, 75, 37, 18, 9, 4, 2, 1]
    assert caution.condemned == {}
    for _ in range(9):
        caution.arrived()
    assert (caution.rows, caution.wire_rows) == (400, 400)


@pytest.mark.parametrize(("size", "limit"), [(800_000, 400_000), (100, 1024)])
def test_a_topic_that_takes_less_is_remembered_by_itself(size: int, limit: int):
    caution = Caution(100)
    caution.too_large("small", size)
    assert (caution.wire_bytes("small"), caution.wire_bytes("other")) == (limit, 900_000)
