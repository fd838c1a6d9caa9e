"""Events with a field of each logical type, in tables and in documents: one by one, by COPY and rebuilt, alike."""

import json
import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from atlas_archive.store import S3Address
from atlas_avro.durations import Duration
from atlas_avro.times import as_date, as_datetime, as_local
from atlas_avro.walk import without_logical_types
from atlas_contracts.checks import add
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_projection.projection import Projection, Row, Value
from atlas_projector.rebuilding.archived import open_source
from atlas_projector.rebuilding.rebuild import Options, Progress, rebuild
from atlas_projector.source import open_topic_source
from atlas_projector.waiting.dead_letters import value_of
from atlas_readmodel.columns.json_rows import dumps, plain_row
from atlas_readmodel.documents import Documents
from atlas_readmodel.postgres.pg_codecs import set_reading_codecs
from atlas_readmodel.reader import Reader
from atlas_readmodel.redis.documents_reader import DocumentsReader
from atlas_readmodel.table import Table
from atlas_readmodel.waiting.parking import State

from tests.contexts import SCHEMAS
from tests.integration.projector.test_archived import archived, eaten

if TYPE_CHECKING:
    from tests.integration.projector.conftest import Rig

pytestmark = pytest.mark.integration

UUID = "0190f3c4-0000-7000-8000-00000000000"


def _of(base: str, logical: str, **more: Any) -> dict[str, Any]:
    return {"type": base, "logicalType": logical, **more}


AMOUNT = _of("bytes", "decimal", precision=38, scale=10)
LINE = {
    "type": "record",
    "name": "Line",
    "doc": "A line.",
    "fields": [{"name": "amount", "type": AMOUNT, "doc": "a"}, {"name": "raw", "type": "bytes", "doc": "r"}],
}
EVENT = {
    "type": "record",
    "namespace": "shop",
    "name": "Sold",
    "doc": "A sale.",
    "fields": [
        {"name": name, "type": kind, "doc": name}
        for name, kind in {
            "sale": "string",
            "price": _of("bytes", "decimal", precision=12, scale=2),
            "day": _of("int", "date"),
            "at": _of("long", "timestamp-micros"),
            "local": _of("long", "local-timestamp-millis"),
            "nanos": _of("long", "timestamp-nanos"),
            "uid": _of("string", "uuid"),
            "span": {"type": "fixed", "name": "Span", "size": 12, "logicalType": "duration"},
            "ratio": "double",
            "single": "float",
            "lines": {"type": "array", "items": LINE},
        }.items()
    ],
}
COLUMNS = {
    "sale": "text NOT NULL",
    "price": "numeric(12, 2)",
    "total": "numeric",
    "day": "date",
    "days": "date[]",
    "at": "timestamptz",
    "local": "timestamp",
    "nanos": "bigint",
    "uid": "uuid",
    "span": "interval",
    "ratio": "double precision",
    "single": "real",
    "lines": "jsonb",
    "prices": "numeric(12, 2)[]",
}


def sold(row: Row | None, event: Value, _meta: Any) -> Row:
    """Takes what the row was, wherever that comes from, and adds to it."""
    before = row or {"total": Decimal(0), "days": [], "lines": [], "prices": [], "single": 0.0}
    return {
        **event,
        "total": before["total"] + event["price"],
        "days": [*before["days"], event["day"]],
        "at": as_datetime(event["at"], 6),
        "local": as_local(event["local"], 3),
        "single": before["single"] + event["single"],
        "lines": before["lines"] + event["lines"],
        "prices": [*before["prices"], event["price"]],
    }


def kept_as_document(row: Row | None, event: Value, _meta: Any) -> Row:
    total = Decimal(row["total"] if row else 0) + event["price"]
    return {
        **event,
        "total": total,
        "day": as_date(event["day"]),
        "lines": (row["lines"] if row else []) + event["lines"],
    }


def counted(row: Row | None, event: Value, _meta: Any) -> Row:
    return {"uid": event["uid"], "day": event["day"], "sum": (row["sum"] if row else 0) + event["price"]}


SALES = Projection(
    name="sales", version=1, topics=("t",), table=Table(COLUMNS, ("sale",)), handlers={"shop.Sold": sold}
)
SUMS = {"uid": "uuid NOT NULL", "day": "date NOT NULL", "sum": "numeric(20,2)"}
COUNTERS = replace(
    SALES, name="counters", handlers={"shop.Sold": counted}, table=Table(SUMS, ("uid", "day"), per_partition=True)
)
BOARD = replace(SALES, name="board", table=Documents(("sale",)), handlers={"shop.Sold": kept_as_document})


def released(folder: Path, event: Any) -> Codec:
    """Of the house's schemas folder with this event besides."""
    shutil.copytree(SCHEMAS, folder)
    (folder / "shop").mkdir()
    with (folder / "topics.yaml").open("a") as topics:
        topics.write(
            "  shop.events:\n    key: sale\n    events: [shop.Sold]\n    partitions: 2\n    retention: forever\n"
        )
    (folder / "shop" / "sold.v1.avsc").write_text(json.dumps(event))
    add(folder, "shop/sold.v1.avsc")
    return Codec(Registry.load(folder))


@pytest.fixture
def shop(rig: "Rig", tmp_path: Path) -> "Rig":
    return replace(rig, codec=released(tmp_path / "ours", EVENT))


@pytest.fixture
def foreign(shop: "Rig", tmp_path: Path) -> "Rig":
    """A producer that knows the bytes of each type, and nothing of what they mean."""
    return replace(shop, codec=released(tmp_path / "foreign", without_logical_types(EVENT)))


def sale(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "sale": f"s{number % 3}",
        "price": Decimal("0.10") + number,
        "day": (-719_162, 0, 2_932_896)[number % 3],
        "at": (-62_135_596_800_000_000, 253_402_300_799_999_999, 1)[number % 3],
        "local": (-62_135_596_800_000, 253_402_300_799_999, 0)[number % 3],
        "nanos": 2**63 - 1 - number,
        "uid": f"{UUID}{number % 3}",
        "span": Duration(number, 2**31 - 1, 2**32 - 1),
        "ratio": (0.1, float("inf"), float("nan"))[number % 3],
        "single": 0.1,
        "lines": [{"amount": Decimal("9" * 28 + ".0000000001"), "raw": b"\x01\xff"}],
        **changed,
    }


async def sell(shop: "Rig", *numbers: int) -> None:
    for number in numbers:
        value = sale(number)
        await shop.send("shop.Sold", value, key=value["sale"], partition=0)


async def built_anew(shop: "Rig", projection: Projection) -> bool:
    async with open_topic_source(shop.servers.kafka_brokers, projection.topics, "test") as source:
        built = await rebuild(projection, shop.stores, shop.codec, source, Progress(), Options(verify=True))
    return built.comparison is not None and built.comparison.identical


@pytest.mark.parametrize("projection", [SALES, COUNTERS, BOARD], ids=lambda projection: projection.name)
async def test_one_by_one_by_copy_and_rebuilt_they_come_to_the_same(shop: "Rig", projection: Projection) -> None:
    one = shop.pointed(projection)
    for number in range(4):  # each by a projector that was just started: rows are read again
        await sell(shop, number)
        await shop.projected(one)
    few = await shop.rows(one)
    at_once = shop.pointed(projection, name="atonce")
    await shop.projected(at_once)
    assert repr(await shop.rows(at_once)) == repr(few)
    for number in range(4, 130):
        value = sale(number, sale=f"s{number}", uid=f"{UUID[:-3]}{number:04}")
        await shop.send("shop.Sold", value, key=value["sale"], partition=number % 2)
    await shop.projected(one)
    assert await shop.waiting(one) == []
    rows = await shop.rows(one)
    assert len(rows) == 3 + 126
    assert await built_anew(shop, one)
    assert repr(await shop.rows(one)) == repr(rows)


async def test_the_gateway_s_json_is_what_the_events_said(shop: "Rig") -> None:
    sales, board = shop.pointed(SALES), shop.pointed(BOARD)
    await sell(shop, 0)
    await shop.projected(sales)
    await shop.projected(board)
    async with asyncpg.create_pool(shop.dsn, min_size=1, max_size=1, init=set_reading_codecs) as pool:
        (row,) = await Reader(pool, None).rows("sales", "SELECT * FROM readmodel.sales")
    said = {
        "sale": "s0", "price": "0.10", "total": "0.10", "day": "0001-01-01", "days": ["0001-01-01"],
        "at": "0001-01-01T00:00:00.000000Z", "local": "0001-01-01T00:00:00.000000", "nanos": 2**63 - 1,
        "uid": f"{UUID}0", "span": "P0M2147483647DT4294967.295S", "ratio": 0.1, "single": 0.10000000149011612,
        "lines": [{"amount": "9" * 28 + ".0000000001", "raw": "\x01ÿ"}], "prices": ["0.10"], "_offset": 0,
    }  # fmt: skip
    assert json.loads(dumps(plain_row(row))) == said
    (document,) = await DocumentsReader(shop.stores.redis, namespace=shop.stores.namespace).rows("board", ("s0",)) or []
    assert document == {
        **{name: said[name] for name in ("sale", "price", "total", "day", "uid", "span", "ratio", "single", "lines")},
        "at": -62_135_596_800_000_000, "local": -62_135_596_800_000, "nanos": 2**63 - 1,
    }  # fmt: skip


async def test_what_a_column_would_round_is_a_dead_letter_that_is_shown_as_it_is(shop: "Rig") -> None:
    def thirds(_row: Row | None, event: Value, _meta: Any) -> Row:
        amount = event["lines"][0]["amount"] if event["sale"] == "s1" else event["price"]
        return dict.fromkeys(COLUMNS) | {"sale": event["sale"], "price": amount}

    sales = shop.pointed(SALES, handlers={"shop.Sold": thirds})
    await sell(shop, 0, 1, 2)
    await shop.projected(sales)
    assert [row["sale"] for row in await shop.rows(sales)] == ["s0", "s2"]
    (dead,) = await shop.waiting(sales)
    assert dead.state is State.DEAD
    assert (dead.error or "").startswith("column price: more than 12 digits, 2 of them behind the point, found Decimal")
    shown = value_of(shop.codec, dead.value)
    assert shown["value"]["price"] == "1.10"
    assert shown["value"]["day"] == "1970-01-01"
    assert json.loads(json.dumps(shown)) == shown


@pytest.mark.parametrize("projection", [SALES, COUNTERS, BOARD], ids=lambda projection: projection.name)
async def test_what_a_foreign_producer_wrote_beyond_its_type_is_a_dead_letter_or_itself(
    shop: "Rig", foreign: "Rig", projection: Projection
) -> None:
    """In a row's key and beside it. A document holds numbers and text as they are."""
    typed = shop.pointed(projection)
    raw = {"price": b"\x0a", "span": bytes(12), "lines": []}
    odd: dict[str, dict[str, Any]] = {
        "nobody": {"uid": "nope"},
        "later": {"day": 2_932_897},
        "sooner": {"day": -719_163},
    }
    for number, (name, changed) in enumerate(odd.items()):
        await sell(shop, number)
        await foreign.send("shop.Sold", {**sale(number), **raw, **changed, "sale": name}, key=name, partition=0)
    await sell(shop, 3)
    await shop.projected(typed)
    said = {(record.key or b"").decode(): record.error or "" for record in await shop.waiting(typed)}
    if projection is BOARD:  # whose own handler makes a date of the number
        assert set(said) == {"later", "sooner"}
        assert all("are outside the years 1 to 9999" in error for error in said.values())
        return
    assert len(await shop.rows(typed)) == 3
    assert said["nobody"].startswith("column uid: expected a UUID")
    assert said["later"].startswith("column day: 2932897 days are outside the years 1 to 9999, found 2932897")
    assert set(said) == set(odd)


@pytest.mark.parametrize("projection", [SALES, COUNTERS, BOARD], ids=lambda projection: projection.name)
async def test_from_the_archive_they_come_to_the_same(
    shop: "Rig", projection: Projection, bucket: str, tmp_path: Path
) -> None:
    typed = shop.pointed(projection)
    await sell(shop, 0, 1, 2, 3)
    await shop.projected(typed)
    rows = await shop.rows(typed)
    servers = shop.servers
    address = S3Address(bucket, servers.s3_endpoint, servers.s3_access_key, servers.s3_secret_key)
    await archived(shop, address, tmp_path, tmp_path / "ours", "shop.events")
    await eaten(shop)
    async with open_source(servers.kafka_brokers, typed.topics, "test", address) as source:
        built = await rebuild(typed, shop.stores, shop.codec, source, Progress(), Options(verify=True))
    assert built.comparison is not None
    assert built.comparison.identical
    assert repr(await shop.rows(typed)) == repr(rows)
