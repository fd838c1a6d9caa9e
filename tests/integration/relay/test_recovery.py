"""A crash between any two steps of the protocol: the next owner sends every row exactly once."""

import asyncio
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from atlas_errors.policy import Transient
from atlas_kafka.producing.transactional import open_transactional_producer
from atlas_outbox.relaying.batches import Want
from atlas_outbox.relaying.sent import sent_of
from atlas_outbox.relaying.store import Store
from atlas_relay.batch_loop import UNSURE_MAX
from atlas_relay.sending import marks, sender

from tests.integration.relay.crashing import ITEMS, Crash

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("step", ["1", "2", "3"])
async def test_after_a_crash_the_next_owner_sends_every_row_once(outbox, owner, step):
    await outbox.commit(*ITEMS)
    first = await owner("first")
    await first.take()
    first.crash_at(step)
    with pytest.raises(Crash):
        await first.batches.cycle()
    assert await outbox.count("records") == len(ITEMS)

    second = await owner("second")
    await second.take()
    assert await outbox.count("records") == (0 if step == "3" else len(ITEMS))
    while await second.batches.cycle():
        pass
    assert await outbox.is_empty()
    await outbox.delivered.until(ITEMS)


@pytest.mark.parametrize("step", ["2", "3"])
@pytest.mark.parametrize("batches", [1, 4])
async def test_a_crash_in_the_middle_of_many_batches(outbox, owner, batches, step):
    """Marks of earlier batches are there and must not be taken for the pending one's; either producer's turn it is."""
    first = await owner("first")
    await first.take()
    for n in range(batches):
        await outbox.commit(*[(f"k{key}", n) for key in range(5)])
        assert await first.batches.cycle()
    await outbox.commit(*[(f"k{key}", batches) for key in range(5)])
    first.crash_at(step)
    with pytest.raises(Crash):
        await first.batches.cycle()

    second = await owner("second")
    await second.take()
    while await second.batches.cycle():
        pass
    await outbox.delivered.until([(f"k{key}", n) for n in range(batches + 1) for key in range(5)])
    assert await outbox.is_empty()


@pytest.mark.parametrize("turn", [0, 1])
async def test_an_owner_that_was_taken_over_from_can_send_nothing(outbox, owner, turn):
    """It was paused after its claim; while it was, another took over, and sent. Whichever producer's turn it was."""
    stale = await owner("stale")
    await stale.take()
    before = [("k0", -turn), ("k1", -turn)][: 2 * turn]
    if before:
        await outbox.commit(*before)
        assert await stale.batches.cycle()
    await outbox.commit(*ITEMS)
    claimed = await stale.batches._claim()
    assert len(claimed.rows) == len(ITEMS)
    heir = await owner("heir")
    await heir.take()
    assert await heir.batches.cycle()
    for _ in range(2):
        await stale.sender.learn({outbox.topic})
        with pytest.raises(Transient):
            await stale.sender.send(claimed.rows, [sent_of(claimed.rows)])
        stale.sender._delivery._producers.rotate()

    more = [("k0", 1000), ("k1", 1001)]
    await outbox.commit(*more)
    wants = [Want(group, epoch, 0, 100) for group, epoch in stale.epochs.items()]
    again = await Store(stale.connection).claim(wants, max_bytes=1 << 20)
    assert (list(again.rows), set(again.groups)) == ([], set())
    while await heir.batches.cycle():
        pass
    await outbox.delivered.until(before + ITEMS + more)
    assert await outbox.is_empty()


async def test_what_a_crash_of_postgres_brings_back_is_not_sent_again(outbox, owner):
    """Deletes of few rows are not waited for."""
    first = await owner("first")
    await first.take()
    first.remember_deletes()
    expected = []
    for n in range(UNSURE_MAX + 3):
        items = [(f"k{key}", n) for key in range(5)]
        expected += items
        await outbox.commit(*items)
        assert await first.batches.cycle()
    await first.crash_postgres()
    assert await outbox.count("records") == 3 * 5, "all that were not waited for, and no others"
    second = await owner("second")
    await second.take()
    assert await outbox.is_empty()
    assert not await second.batches.cycle()
    await outbox.delivered.until(expected)


async def test_marks_of_senders_that_are_no_more_are_let_go(outbox, owner, settings, on_topic):
    """After a takeover and after an orderly end: whoever starts often must not fill the progress topic."""
    first, second = await owner("first"), await owner("second")
    for each in (first, second):
        await each.take()
        await outbox.commit(*ITEMS)
        assert await each.batches.cycle()
    await second.batches.leave(list(second.epochs))
    assert set((await Store(outbox.connection).senders(range(8))).values()) == {None}
    progress = on_topic(settings.relay_progress_topic)
    last = {record.key.decode(): record.value for record in await progress.records()}
    assert last == {first.sender.name: None, second.sender.name: None}


async def test_the_mark_is_found_behind_another_senders_open_transaction(outbox, owner, settings, monkeypatch):
    """Both write to one partition. A reader sees nothing there beyond an open transaction until that has ended."""
    monkeypatch.setattr(marks, "partition_of", lambda topic, _sender: TopicPartition(topic, 0))
    monkeypatch.setattr(sender, "partition_of", marks.partition_of)
    first = await owner("first")
    await outbox.commit(*ITEMS)
    await first.take()
    first.crash_at("3")
    async with open_transactional_producer(settings.kafka_brokers, "other", f"other-{uuid4()}") as producer:
        await producer.begin_transaction()
        await (await producer.send(settings.relay_progress_topic, b"open", b"another", partition=0))
        with pytest.raises(Crash):
            await first.batches.cycle()
        second = await owner("second")
        taking = asyncio.create_task(second.take())
        done, _ = await asyncio.wait({taking}, timeout=1)
        assert not done, "it took over without having seen all marks"
        await producer.abort_transaction()
    await taking
    assert await outbox.is_empty()
    await outbox.delivered.until(ITEMS)


async def test_an_owner_that_lost_a_group_goes_on_with_the_others(outbox, owner):
    first = await owner("first")
    await first.take()
    await outbox.connection.execute("UPDATE outbox.leases SET epoch = epoch + 1, owner = 'other' WHERE shard_group < 3")
    await outbox.commit(*[(f"k{n}", n) for n in range(200)])
    while await first.batches.cycle():
        pass
    assert set(first.batches.groups) == {3, 4, 5, 6, 7}
    left = await outbox.connection.fetch("SELECT DISTINCT shard >> 3 AS g FROM outbox.records")
    assert {row["g"] for row in left} == {0, 1, 2}
