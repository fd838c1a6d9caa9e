"""One round of hostile input: every kind there is, on every way, mixed at random."""

import asyncio
from types import TracebackType

import aiohttp
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from atlas_contracts.codec import Codec
from atlas_kafka.cluster.admin import open_admin
from atlas_kafka.cluster.topic_state import topic_states
from atlas_local.testing import TestMesh

from tests.chaos.data_batches import send_batches
from tests.chaos.data_foreign import ForeignProducer
from tests.chaos.data_forged import Forger, post_forgeries
from tests.chaos.data_good import TOPIC
from tests.chaos.data_http import HostileClient
from tests.chaos.data_ledger import Ledger
from tests.chaos.data_limits import send_limited
from tests.chaos.data_outbox import write_rows

HTTP_TURNS = 4
FOREIGN_TURNS = 8
HELD_S = 0.5
# Of the topic: below what the gateway takes and packs together, so that a batch is refused for one of its records.
RECORD_MAX_BYTES = 180_000


class Rounds:
    """Sends rounds of hostile input; an asynchronous context, because it holds a session."""

    def __init__(self, mesh: TestMesh, codec: Codec, ledger: Ledger) -> None:
        self._mesh = mesh
        self._codec = codec
        self._ledger = ledger
        self._foreign = ForeignProducer(mesh.servers.kafka_brokers, codec, ledger)
        self._forger = Forger(mesh, codec, ledger)
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> "Rounds":
        await _limit_records(self._mesh.servers.kafka_brokers)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(self) -> None:
        """One round, in two parts: all of it at once would show how busy a machine is rather than what input does."""
        client = HostileClient(self._mesh, self._ledger, self._session)
        await asyncio.gather(client.send(HTTP_TURNS), self._foreign.send(FOREIGN_TURNS), self._foreign.abort(HELD_S))
        await asyncio.gather(
            send_limited(client),
            post_forgeries(client),
            send_batches(self._mesh.servers.kafka_brokers, self._codec, self._ledger),
            self._forger.send(),
            write_rows(self._mesh.dsn, self._ledger),
        )


async def _limit_records(brokers: str) -> None:
    async with open_admin(brokers) as admin:
        state = (await topic_states(admin._client, [TOPIC]))[TOPIC]
        kept = {name: state.config[name] for name in state.own}
        configs = kept | {"max.message.bytes": str(RECORD_MAX_BYTES)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC, configs=configs)])
