"""Which records wait, without any table behind it."""

import pytest
from atlas_contracts.events import Meta
from atlas_projection import waiting
from atlas_projection.change import Change
from atlas_projection.waiting import Waiting
from atlas_readmodel.waiting.parking import Decision


def meta(offset: int, key: bytes | None = b"k", sequence: int = 1) -> Meta:
    return Meta("t", 0, offset, 0, key, [("ce_sequence", b"%d" % sequence)])


def change(offset: int, sequence: int, key: bytes = b"k") -> Change:
    return Change((key,), lambda _row, value, _meta: value, {}, meta(offset, key, sequence))


def test_only_later_records_of_a_key_are_behind() -> None:
    held = Waiting(ordered=True)
    held.block(meta(5))
    assert [held.blocks(meta(offset)) for offset in (4, 5, 6)] == [False, False, True]
    assert not held.blocks(meta(6, b"other"))
    held.unblock(meta(5))
    assert not held.blocks(meta(6))


def test_nothing_waits_without_order_or_key_or_behind_what_was_dropped() -> None:
    for held, record in (
        (Waiting(ordered=False), meta(5)),
        (Waiting(ordered=True), meta(5, None)),
        (Waiting(True, {("t", 0, 5): Decision.DROPPED}), meta(5)),
    ):
        held.block(record)
        assert not held.blocked


def test_what_has_no_version_blocks_nobody_where_versions_matter() -> None:
    foreign = Meta("t", 0, 5, 0, b"k", [("ce_type", b"x"), ("ce_sequence", b"two")])
    held = Waiting(ordered=True, last_version=9)
    held.block(foreign)
    assert not held.blocked
    held.block(meta(6))
    assert held.blocks(meta(7))
    held = Waiting(ordered=True)
    held.block(foreign)
    assert held.blocks(meta(6))


def test_a_copy_is_what_was() -> None:
    held = Waiting(ordered=True)
    held.block(meta(5))
    held.add_early(change(1, 5, b"z"))
    before = held.copy()
    held.unblock(meta(5))
    held.block(meta(7, b"y"))
    (early,) = held.take_early(meta(1, b"z"))
    assert early.meta.offset == 1
    assert (held.early, held.is_early(meta(1))) == ({}, False)
    assert before.blocks(meta(6))
    assert not before.blocks(meta(8, b"y"))
    assert [one.meta.offset for one in before.early_of(meta(1, b"z"))] == [1]
    assert before.is_early(meta(1))


def test_early_events_come_in_the_order_of_their_versions() -> None:
    held = Waiting(ordered=True)
    for one in (change(1, 5), change(2, 3), change(3, 4)):
        held.add_early(one)
    assert [one.meta.sequence for one in held.early_of(meta(9))] == [3, 4, 5]
    held.forget_early(("t", 0, 2))
    assert not held.is_early(meta(2))
    assert [one.meta.sequence for one in held.early_of(meta(9))] == [4, 5]


def test_overdue_by_time_and_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Waiting(ordered=True)
    held.add_early(change(1, 5, b"old"), since=0.0)
    held.add_early(change(2, 6, b"old"))
    held.add_early(change(3, 5, b"new"))
    assert [one.meta.offset for one in held.overdue()] == [1, 2]
    held.forget_early(("t", 0, 1))
    assert held.overdue() == []
    monkeypatch.setattr(waiting, "EARLY_MAX", 1)
    assert {one.meta.offset for one in held.overdue()} == {2}
