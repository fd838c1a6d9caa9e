"""Schemas of the kinds that public projects make: imported, produced, projected, archived, exported."""

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pyarrow.parquet
import pytest
from atlas_archive.format.records import Record
from atlas_contracts.codec import PREFIX_BYTES, Codec
from atlas_contracts.events import Meta
from atlas_contracts.evolution.resolution import named_types
from atlas_contracts.keys import GIVEN
from atlas_contracts.registry import Registry
from atlas_gateway.posting.envelopes import Refused, cloud_event
from atlas_gateway.posting.records import Maker
from atlas_kafka.producing.producer import Outgoing
from atlas_local.testing import Servers
from atlas_projection.projection import Projection, Row, Value
from atlas_projector.declared import faults
from atlas_readmodel.columns.json_rows import plain as plain_json
from atlas_readmodel.table import Table

from tests.conformance.chain import Chain
from tests.conformance.parquet import by_fastavro, check, plain
from tests.conformance.public_kinds import COLUMNS, KINDS, KSQL, Kind, Post, folder_of, typed_keys, typed_posts
from tests.conformance.test_chain import JSON, rows_of
from tests.conformance.values import comparable


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return folder_of(tmp_path_factory.mktemp("kinds"), "a.")


def test_ids_stay_and_a_shared_name_has_a_type_for_each_topic_or_one(registry: Registry) -> None:
    for kind in KINDS:
        for number, definition in enumerate(kind.versions):
            schema = registry.schema(kind.id + number)
            assert schema.type in registry.topics[f"a.{kind.topic}"].events
            assert schema.parsed["name"] == f"{definition['namespace']}.{definition['name']}"
    name = f"{KSQL}.KsqlDataSourceSchema"
    assert {kind.topic: registry.schema(kind.id).type for kind in KINDS if kind.key == GIVEN} == {
        "PAGEVIEWS": f"a.PAGEVIEWS-{name}",
        "PEOPLE": f"a.PEOPLE-{name}",
        "TOTALS": name,
        "TOTALS_COPY": name,
        "cloud": "io.cloudevents.AvroCloudEvent",
    }
    assert registry.versions("com.acme.billing.Invoice")[0].id == 161
    assert len(registry.schema(181).parsed["fields"]) == COLUMNS


def made(registry: Registry, topic: str, items: Sequence[Any]) -> list[Outgoing | Refused]:
    return Maker(registry.topics[topic], Codec(registry), ()).make(items)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.topic)
def test_what_is_posted_is_keyed_and_comes_back(registry: Registry, kind: Kind) -> None:
    codec = Codec(registry)
    for post, out in zip(kind.posts, made(registry, f"a.{kind.topic}", [p.body() for p in kind.posts]), strict=True):
        assert isinstance(out, Outgoing), out.error
        assert (out.key, dict(out.headers)["ce_subject"]) == (post.key.encode(), post.key.encode())
        event = codec.decode(out.value)
        shown = codec.to_json(event)
        assert comparable(shown) == comparable(filled(kind, post))
        assert codec.encode_json(event.type, orjson.loads(orjson.dumps(shown))) == out.value
        assert codec.encode(event.type, event.value) == out.value


def filled(kind: Kind, post: Post) -> dict[str, Any]:
    """What was posted, with null where nothing was said."""
    value = {field["name"]: post.value.get(field["name"]) for field in kind.versions[-1]["fields"]}
    if "source" in value:
        value["source"] = {"sequence": None, "txId": None, **post.value["source"]}
    return value


def test_a_key_of_any_type_has_one_text(registry: Registry) -> None:
    out = made(registry, "a.events", typed_posts())
    assert [one.key.decode() if isinstance(one, Outgoing) and one.key else one for one in out] == typed_keys()


@pytest.mark.parametrize(
    ("topic", "item", "path", "expected"),
    [
        ("orders", {"before": None, "after": None}, "/value/after/id", "the record's key: after.id | before.id"),
        ("wide", {"c1": None}, "/value/c1", "the record's key: c1"),
        ("PAGEVIEWS", {"VIEWTIME": 1}, "/key", "the record's key, which the value does not hold"),
    ],
)
def test_a_record_without_a_key_is_refused_by_its_field(
    registry: Registry, topic: str, item: dict[str, Any], path: str, expected: str
) -> None:
    kind = next(kind for kind in KINDS if kind.topic == topic)
    value = {**kind.posts[0].value, **item}
    for body in ({"value": value}, {"type": registry.schema(kind.id).type, "value": value}):
        (refused,) = made(registry, f"a.{topic}", [body])
        assert isinstance(refused, Refused)
        (error,) = refused.error["errors"]
        assert error["path"] == path
        assert error["expected"].startswith(expected)


def test_a_cloud_event_gives_its_key_by_an_extension(registry: Registry) -> None:
    kind = next(kind for kind in KINDS if kind.topic == "PAGEVIEWS")
    event_type = registry.schema(kind.id).type
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": event_type, "data": kind.posts[0].value}
    maker = Maker(registry.topics["a.PAGEVIEWS"], Codec(registry), (), cloud_event)
    out, refused = maker.make([event | {"partitionkey": "u1"}, event])
    assert isinstance(out, Outgoing)
    assert out.key == b"u1"
    assert isinstance(refused, Refused)
    assert refused.error["errors"][0]["path"] == "/key"


def keyed(value: Value, meta: Meta) -> list[Value]:
    """The event as a row's, with the record's own key."""
    assert meta.key is not None
    return [{"k": f"{meta.topic} {meta.key.decode()}", "event": value}]


def kept(_row: Row | None, made_of: Value, _meta: Meta) -> Row:
    return {"k": made_of["k"], "event": dict(made_of["event"])}


def projection_of_all(registry: Registry, topics: tuple[str, ...]) -> Projection:
    types = {event for topic in topics for event in registry.topics[topic].events}
    table = Table({"k": "text NOT NULL", "event": "jsonb NOT NULL"}, ("k",), per_partition=True)
    return Projection(
        name="whole", version=1, topics=topics, table=table, handlers=dict.fromkeys(types, kept), each=keyed
    )


@pytest.mark.integration
async def test_the_whole_way(servers: Servers, database: str, bucket: str, tmp_path: Path) -> None:
    chain = Chain(servers, database, bucket, f"test.{uuid.uuid4().hex[:8]}.", tmp_path)
    registry = folder_of(tmp_path, chain.prefix, partitions=1)
    codec = Codec(registry)
    posts = {chain.prefix + kind.topic: [post.body() for post in kind.posts] for kind in KINDS}
    expected = {chain.prefix + kind.topic: [post.key for post in kind.posts] for kind in KINDS}
    posts[chain.topic], expected[chain.topic] = typed_posts(), typed_keys()
    projection = projection_of_all(registry, tuple(posts))
    assert faults([projection], registry) == {}
    async with chain.running(projection) as gateway:
        for topic, bodies in posts.items():
            await post_all(gateway, topic, bodies)
        rows = await rows_of(database, sum(map(len, posts.values())))
        archived = {topic: await chain.archived(len(bodies), topic) for topic, bodies in posts.items()}
    for topic, records in archived.items():
        assert sorted(one.key.decode() for one in records if one.key) == sorted(expected[topic])
        await chain.exported(tmp_path / "parquet", topic)
        cells = rows_of_parquet(tmp_path / "parquet" / topic)
        for one in records:
            compare(registry, codec, one, rows[f"{topic} {(one.key or b'').decode()}"], cells[one.key])


async def post_all(gateway: aiohttp.ClientSession, topic: str, bodies: list[dict[str, Any]]) -> None:
    async with gateway.post(f"/topics/{topic}", data=json.dumps(bodies), headers=JSON) as response:
        answer = await response.json()
    assert (response.status, answer["failed"]) == (200, 0), answer


def rows_of_parquet(folder: Path) -> dict[bytes | None, dict[str, Any]]:
    """What was exported of a topic, by key."""
    found: dict[bytes | None, dict[str, Any]] = {}
    for path in folder.rglob("*.parquet"):
        table = pyarrow.parquet.read_table(path, partitioning=None)
        for at, key in enumerate(table["_key"]):
            found[key.as_py()] = {name: plain(table[name][at]) for name in table.column_names}
    return found


def compare(registry: Registry, codec: Codec, archived: Record, row: Any, cells: dict[str, Any]) -> None:
    """That row and Parquet hold what the archive does, by fastavro's reading of it."""
    assert archived.value is not None
    event = codec.decode(archived.value)
    assert row == orjson.loads(orjson.dumps(plain_json(event.value)))
    definition = registry.latest(event.type).parsed
    read = by_fastavro(definition, archived.value[PREFIX_BYTES:])
    check(definition, read, {name: cells[name] for name in read}, named_types(definition), ())
