"""A schema that the services do not have when its first record comes: the record waits for it, and is handled then."""

import json
from pathlib import Path

from aiokafka import AIOKafkaProducer
from atlas_contracts.codec import PREFIX_BYTES, Codec
from atlas_contracts.folder import Locked, path_of, read_lock, read_schema, write_lock
from atlas_local.testing import TestMesh

from tests.chaos.data_foreign import visible
from tests.chaos.data_good import DEPARTED, TOPIC
from tests.chaos.data_ledger import End, Ledger


async def send_early(mesh: TestMesh, codec: Codec, ledger: Ledger) -> None:
    """A flight under the next id that the folder would give."""
    record = visible(codec)
    assert record.value is not None  # it is an event
    framed = b"\0" + _next_id(_folder(mesh)).to_bytes(4, "big") + record.value[PREFIX_BYTES:]
    async with AIOKafkaProducer(bootstrap_servers=mesh.servers.kafka_brokers, acks="all") as producer:
        put = await producer.send_and_wait(TOPIC, framed, record.key)
    ledger.accept("early record", (put.topic, put.partition, put.offset), {End.WAITED}, record.row)


def make_known(mesh: TestMesh) -> None:
    """Give the id to another version of the event, which differs in words alone."""
    folder = _folder(mesh)
    definition = json.loads((folder / path_of(DEPARTED, 1)).read_text())
    path = path_of(DEPARTED, 2)
    (folder / path).write_text(json.dumps(definition | {"doc": "A flight left its gate, in other words."}))
    entry = Locked(_next_id(folder), read_schema(folder, path).sha256)
    write_lock(folder, {**read_lock(folder), path: entry})


def _folder(mesh: TestMesh) -> Path:
    return Path(mesh.env["ATLAS_SCHEMAS_DIR"])


def _next_id(folder: Path) -> int:
    return max(entry.id for entry in read_lock(folder).values()) + 1
