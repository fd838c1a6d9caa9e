"""A crash between any two steps of the protocol: the next owner sends every row exactly once."""

from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from atlas_kafka.fates import Transient
from atlas_outbox import leases
from atlas_outbox.batches import Want, claim, finish, pledge
from atlas_outbox.reader import Reader
from atlas_outbox.session import open_session
from atlas_relay.protocol import Caution
from atlas_relay.pump import Pump
from atlas_relay.sender import SenderConfig, open_sender
from atlas_relay.topics import Topics

pytestmark = pytest.mark.integration

ITEMS = [(f"k{n % 5}", n) for n in range(60)]


class Crash(Exception):
    """The process ends here."""


class Owner:
    """One instance by hand: all groups, one pump, and a step at which it crashes."""

    def __init__(self, stack: AsyncExitStack, settings, name: str) -> None:
        self.stack, self.settings, self.name = stack, settings, name
        self.epochs: dict[int, int] = {}

    async def start(self) -> "Owner":
        dsn = self.settings.postgres_dsn.get_secret_value()
        self.connection = await self.stack.enter_async_context(open_session(dsn))
        caution = Caution(1000)
        config = SenderConfig(
            self.settings.kafka_brokers, self.name, f"test-{self.name}", self.settings.relay_progress_topic, 10
        )
        self.sender = await self.stack.enter_async_context(open_sender(config, Topics(1 << 20), caution))
        self.pump = Pump(Reader(self.connection), self.sender, caution, 1 << 20)
        return self

    async def take(self) -> None:
        """Take every group, whoever holds it, and adopt what is pending."""
        await self.connection.execute("UPDATE outbox.leases SET expires_at = '-infinity'")
        self.epochs = await leases.take(self.connection, self.name, 60, 8)
        assert len(self.epochs) == 8
        await self.pump.adopt(self.epochs)

    def crash_at(self, step: str) -> None:
        """1: after the pledge. 2: records and marks are sent, no commit. 3: committed, rows still there."""
        if step == "1":
            self.sender.send = _crash
        elif step == "2":
            self.sender._producer.commit_transaction = _crash
        else:
            self.pump.store.finish = _crash


async def _crash(*_args: object) -> None:
    raise Crash


@pytest.fixture
async def owner(settings):
    async with AsyncExitStack() as stack:

        async def make(name: str) -> Owner:
            return await Owner(stack, settings, f"{name}-{uuid4().hex[:6]}").start()

        yield make


@pytest.mark.parametrize("step", ["1", "2", "3"])
async def test_after_a_crash_the_next_owner_sends_every_row_once(outbox, owner, step):
    await outbox.commit(*ITEMS)
    first = await owner("first")
    await first.take()
    first.crash_at(step)
    with pytest.raises(Crash):
        await first.pump.cycle()
    assert await outbox.count("batches") > 0
    assert await outbox.count("records") == len(ITEMS)

    second = await owner("second")
    await second.take()
    assert await outbox.count("records") == (0 if step == "3" else len(ITEMS))
    while await second.pump.cycle():
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
        assert await first.pump.cycle()
    await outbox.commit(*[(f"k{key}", batches) for key in range(5)])
    first.crash_at(step)
    with pytest.raises(Crash):
        await first.pump.cycle()

    second = await owner("second")
    await second.take()
    while await second.pump.cycle():
        pass
    await outbox.delivered.until([(f"k{key}", n) for n in range(batches + 1) for key in range(5)])
    assert await outbox.is_empty()


async def test_a_stale_owner_can_write_neither_postgres_nor_kafka(outbox, owner):
    """It was paused after its claim; while it was, another took over, and sent."""
    await outbox.commit(*ITEMS)
    stale = await owner("stale")
    await stale.take()
    claimed = await stale.pump._claim()
    assert len(claimed.rows) == len(ITEMS)
    await stale.pump._pledge(claimed.rows, token := uuid4())
    await stale.sender.learn({outbox.topic})
    await stale.sender.begin(claimed.rows, token)

    heir = await owner("heir")
    await heir.take()
    assert await heir.pump.cycle()
    with pytest.raises(Transient):
        await stale.sender.send(claimed.rows, token)

    more = [("k0", 1000), ("k1", 1001)]
    await outbox.commit(*more)
    rows = await outbox.count("records")
    wants = [Want(group, epoch, 0, 100) for group, epoch in stale.epochs.items()]
    again = await claim(stale.connection, wants, max_bytes=1 << 20)
    assert (list(again.rows), set(again.groups)) == ([], set())
    heirs = await heir.pump._claim()
    as_stale = {group: (epoch, 0) for group, epoch in stale.epochs.items()}
    assert await pledge(stale.connection, as_stale, heirs.rows, (uuid4(), "stale")) == set()
    await heir.pump._pledge(heirs.rows, token := uuid4())
    assert await finish(stale.connection, stale.epochs, token) == set()
    assert await outbox.count("records") == rows

    await heir.sender.learn({outbox.topic})
    await heir.sender.begin(heirs.rows, token)
    await heir.sender.send(heirs.rows, token)
    await heir.pump._finish(heirs.rows, token)
    await outbox.delivered.until(ITEMS + more)


async def test_an_owner_that_lost_a_group_goes_on_with_the_others(outbox, owner):
    first = await owner("first")
    await first.take()
    await outbox.connection.execute("UPDATE outbox.leases SET epoch = epoch + 1, owner = 'other' WHERE shard_group < 3")
    await outbox.commit(*[(f"k{n}", n) for n in range(200)])
    while await first.pump.cycle():
        pass
    assert set(first.pump.groups) == {3, 4, 5, 6, 7}
    left = await outbox.connection.fetch("SELECT DISTINCT shard >> 3 AS g FROM outbox.records")
    assert {row["g"] for row in left} == {0, 1, 2}
    assert await outbox.count("batches") == 0


async def test_after_a_restore_rows_are_sent_again_rather_than_lost(outbox, owner):
    """An older dump brings rows and a pending batch back whose successor's mark is on the topic."""
    first = await owner("first")
    await first.take()
    await outbox.commit(("k", 1))
    assert await first.pump.cycle()
    await outbox.connection.execute(
        "INSERT INTO outbox.batches (shard_group, token, transactional_id, ids)"
        " SELECT g, gen_random_uuid(), 'gone', '{1}' FROM generate_series(0, 7) AS g"
    )
    await outbox.connection.execute("ALTER TABLE outbox.records ALTER id RESTART WITH 1")
    await outbox.commit(("k", 2))
    second = await owner("second")
    await second.take()
    while await second.pump.cycle():
        pass
    await outbox.delivered.until([("k", 1), ("k", 2)])
