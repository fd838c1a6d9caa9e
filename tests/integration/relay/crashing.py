"""An owner of the outbox by hand, which crashes between two steps of the protocol."""

from contextlib import AsyncExitStack

import asyncpg
from atlas_outbox.relaying import leases
from atlas_outbox.relaying.session import open_session
from atlas_outbox.relaying.store import Store
from atlas_relay.batch_loop import BatchLoop
from atlas_relay.protocol import Caution
from atlas_relay.sending.sender import SenderConfig, open_sender
from atlas_relay.topics import Topics

ITEMS = [(f"k{n % 5}", n) for n in range(60)]


class Crash(Exception):
    """The process ends here."""


class Owner:
    """One instance by hand: all groups, one batch loop, and a step at which it crashes."""

    def __init__(self, stack: AsyncExitStack, settings, name: str) -> None:
        self.stack, self.settings, self.name = stack, settings, name
        self.epochs: dict[int, int] = {}
        self.undone: list[asyncpg.Record] = []

    async def start(self) -> "Owner":
        dsn = self.settings.postgres_dsn.get_secret_value()
        self.connection = await self.stack.enter_async_context(open_session(dsn))
        caution = Caution(1000)
        config = SenderConfig(
            self.settings.kafka_brokers, f"test-{self.name}", True, self.settings.relay_progress_topic, 10
        )
        self.sender = await self.stack.enter_async_context(open_sender(config, Topics(1 << 20), caution))
        self.batches = BatchLoop(Store(self.connection), self.sender, caution, 1 << 20)
        return self

    async def take(self) -> None:
        """Take every group, whoever holds it, and adopt what is pending."""
        await self.connection.execute("UPDATE outbox.leases SET expires_at = '-infinity'")
        self.epochs = await leases.take(self.connection, self.name, 60, 8)
        assert len(self.epochs) == 8
        await self.batches.adopt(self.epochs)

    def crash_at(self, step: str) -> None:
        """1: after the claim. 2: records and mark are sent, no commit. 3: committed, rows still there."""
        if step == "1":
            self.sender.send = _crash
        elif step == "2":
            self.sender._delivery._commit = _crash
        else:
            self.batches.store.delete = _crash

    def remember_deletes(self) -> None:
        """Those that are not waited for; one that is takes all before it to the disk too."""
        delete, undone = self.batches.store.delete, self.undone

        async def remembered(epochs, ids, *, durable):
            undone.extend(await self.connection.fetch("SELECT * FROM outbox.records WHERE id = ANY ($1)", ids))
            held = await delete(epochs, ids, durable=durable)
            if durable:
                undone.clear()
            return held

        self.batches.store.delete = remembered

    async def crash_postgres(self) -> None:
        """What it would bring back is there again."""
        await self.connection.copy_records_to_table("records", schema_name="outbox", records=self.undone)


async def _crash(*_args: object, **_kwargs: object) -> None:
    raise Crash
