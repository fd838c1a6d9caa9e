"""What the projector's benchmark folds: accounts, 50,000 of them, each changed again and again."""

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from atlas_contracts.checks import add
from atlas_contracts.codec import Codec
from atlas_contracts.events import Meta
from atlas_contracts.registry import Registry
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics
from atlas_kafka.producing.producer import Outgoing
from atlas_kafka.producing.transactional import open_transactional_producer, send_in_transaction
from atlas_projection.projection import Projection, Row, Value
from atlas_readmodel.table import Table

from tests.contexts import SCHEMAS

TOPIC = "bench.accounts"
EVENT = "bench.AccountChanged"
PARTITIONS = 4
KEYS = 50_000
SENT_AT_ONCE = 20_000

_FIELDS = {
    "account_id": "string",
    "owner": "string",
    "email": "string",
    "country": "string",
    "currency": "string",
    "status": "string",
    "balance": "long",
    "credit_limit": "int",
    "opened_at": "long",
    "changed_at": "long",
    "note": "string",
}
_SQL = {"string": "text NOT NULL", "long": "bigint NOT NULL", "int": "integer NOT NULL"}


def changed(_row: Row | None, event: Value, _meta: Meta) -> Row:
    """The event carries the account as it is."""
    return event


ACCOUNTS = Projection(
    name="accounts",
    version=1,
    topics=(TOPIC,),
    table=Table(
        columns={name: _SQL[kind] for name, kind in _FIELDS.items()},
        key=("account_id",),
    ),
    replaces=True,
    handlers={EVENT: changed},
)

PROJECTIONS = (ACCOUNTS,)


def write_schemas(folder: Path) -> Codec:
    """The mesh's schemas and the event of the benchmark in a folder; returns their codec."""
    shutil.copytree(SCHEMAS, folder)
    namespace, name = EVENT.split(".")
    fields = [{"name": field, "type": kind} for field, kind in _FIELDS.items()]
    definition = {"type": "record", "namespace": namespace, "name": name, "fields": fields}
    (folder / namespace).mkdir()
    (folder / namespace / "account_changed.v1.avsc").write_text(json.dumps(definition))
    with (folder / "topics.yaml").open("a") as topics:
        topics.write(
            f"  {TOPIC}:\n    key: account_id\n    events: [{EVENT}]\n"
            f"    partitions: {PARTITIONS}\n    retention: 30d\n"
        )
    add(folder, f"{namespace}/account_changed.v1.avsc")
    return Codec(Registry.load(folder))


@dataclass(frozen=True, slots=True)
class Load:
    """So many changes of random accounts, 200 bytes each, on a topic of its own; `headers`: those of the gateway."""

    topic: str
    events: int
    headers: bool = False

    def records(self, codec: Codec) -> Iterator[Outgoing]:
        """The records; the same each time."""
        choose = random.Random(7)
        for number in range(self.events):
            account = f"account-{choose.randrange(KEYS):08d}"
            value = _value(account, number, choose)
            headers = _headers(account, number) if self.headers else ()
            yield Outgoing(self.topic, account.encode(), codec.encode(EVENT, value), headers)


def _value(account: str, number: int, choose: random.Random) -> dict[str, Any]:
    return {
        "account_id": account,
        "owner": f"Owner of the {account}",
        "email": f"{account}@customers.example",
        "country": "DE",
        "currency": "EUR",
        "status": "active",
        "balance": choose.randrange(-1_000_000, 1_000_000_000),
        "credit_limit": 5000,
        "opened_at": 1_357_035_300_000,
        "changed_at": 1_700_000_000_000 + number,
        "note": "changed by the batch of the evening, as was agreed on the telephone today",
    }


def _headers(account: str, number: int) -> list[tuple[str, bytes]]:
    return [
        ("content-type", b"application/avro"),
        ("ce_specversion", b"1.0"),
        ("ce_id", b"01890a5d-ac96-774b-bcce-b302%08x" % number),
        ("ce_type", EVENT.encode()),
        ("ce_source", b"/atlas/gateway"),
        ("ce_time", b"2026-01-01T00:00:00.000Z"),
        ("ce_subject", account.encode()),
        ("ce_sequence", b"%d" % number),
    ]


async def fill(brokers: str, load: Load, codec: Codec) -> None:
    """Put the load on its topic, which must be new, in one transaction: readers get all of it at one moment."""
    async with (
        open_transactional_producer(brokers, "bench-load", f"bench-{load.topic}") as producer,
        producer.transaction(),
    ):
        batch: list[Outgoing] = []
        for record in load.records(codec):
            batch.append(record)
            if len(batch) == SENT_AT_ONCE:
                await _send(producer, batch)
                batch = []
        await _send(producer, batch)


async def make_topic(brokers: str, topic: str) -> None:
    """The topic and its dead-letter topic."""
    await ensure_topics(brokers, [TopicSpec(topic, PARTITIONS), TopicSpec(f"{topic}.dlq", 1)])


async def _send(producer: AIOKafkaProducer, batch: list[Outgoing]) -> None:
    failed = [result for result in await send_in_transaction(producer, batch) if isinstance(result, Exception)]
    assert not failed, failed[0]
