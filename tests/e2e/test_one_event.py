"""One yard and one haul, from HTTP to a query's answer, an archived object, and an outside reader."""

import asyncio
import json
import subprocess
import uuid
from io import BytesIO
from typing import Any

import aiohttp
import fastavro
from atlas_local.testing import TestMesh, requires, s3_client
from atlas_local.waiting import wait_until

from tests.integration.gateway.posting import departed

ARCHIVED_WITHIN_S = 40


def _haul(haul_id: str) -> dict[str, Any]:
    return departed(haul_id=haul_id, carrier="ZZ")


async def test_a_user_from_command_to_query(mesh: TestMesh) -> None:
    gateway = mesh.url("gateway")
    person = {"email": f"{uuid.uuid4().hex}@example.org", "display_name": "Ann", "country": "DE"}
    async with aiohttp.ClientSession() as session:
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        async with session.post(f"{gateway}/yards", json=person, headers=headers) as response:
            assert response.status == 201, await response.text()
            first, token, etag = await response.json(), response.headers["Atlas-Token"], response.headers["ETag"]
        async with session.post(f"{gateway}/yards", json=person, headers=headers) as response:
            assert (response.status, await response.json()) == (201, first)
        url = f"{gateway}/yards/{first['id']}"
        async with session.get(url, headers={"Atlas-Token": token}) as response:
            assert response.status == 200, await response.text()
            assert (await response.json())["display_name"] == "Ann"
        change = {"display_name": "Ann B."}
        async with session.patch(f"{url}/profile", json=change, headers={"If-Match": etag}) as response:
            assert response.status == 200, await response.text()
            token = response.headers["Atlas-Token"]
        async with session.patch(f"{url}/profile", json=change, headers={"If-Match": etag}) as response:
            assert response.status == 412, "the version was used twice"
        async with session.get(url, headers={"Atlas-Token": token}) as response:
            seen = await response.json()
    assert (seen["display_name"], seen["version"]) == ("Ann B.", 2)


async def test_a_haul_from_post_to_archived_object(mesh: TestMesh) -> None:
    gateway, haul_id = mesh.url("gateway"), f"ZZ1-{uuid.uuid4().hex[:8]}-EWR"
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{gateway}/topics/hauls.events", json=_haul(haul_id)) as response:
            assert response.status == 200, await response.text()
            (place,) = (await response.json())["results"]
            token = response.headers["Atlas-Token"]
        async with session.get(f"{gateway}/hauls/{haul_id}", headers={"Atlas-Token": token}) as response:
            assert response.status == 200, await response.text()
            assert (await response.json())["arrival_delay_minutes"] == 11

    async def archived() -> bool:
        return await _archived_offset(mesh, place["partition"]) > place["offset"]

    await wait_until("the archiver to write the segment's manifest", archived, ARCHIVED_WITHIN_S)
    assert haul_id in await _archived_hauls(mesh, place["partition"])


async def _archived_offset(mesh: TestMesh, partition: int) -> int:
    return max((m["next_offset"] for m in await _manifests(mesh, partition)), default=0)


async def _manifests(mesh: TestMesh, partition: int) -> list[dict[str, Any]]:
    found = await _objects(mesh, "topics/hauls.events/")
    wanted = [data for key, data in found.items() if "/manifest/" in key and f"partition={partition}/" in key]
    return [json.loads(data) for data in wanted]


async def _archived_hauls(mesh: TestMesh, partition: int) -> set[str]:
    """Read by an Avro library that knows nothing of Atlas."""
    hauls: set[str] = set()
    for key, data in (await _objects(mesh, "topics/hauls.events/")).items():
        if key.endswith(".avro") and f"partition={partition}/" in key:
            for record in fastavro.reader(BytesIO(data)):
                assert isinstance(record, dict)
                if isinstance(record["value"], dict):  # other tests put on the topic what is no event
                    hauls.add(record["value"]["haul_id"])
    return hauls


async def _objects(mesh: TestMesh, prefix: str) -> dict[str, bytes]:
    found = {}
    async with s3_client(mesh.servers) as client:
        bucket = mesh.env.get("ATLAS_S3_BUCKET", "atlas-archive")
        async for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", ()):
                answer = await client.get_object(Bucket=bucket, Key=entry["Key"])
                found[entry["Key"]] = await answer["Body"].read()
    return found


async def _posted(gateway: str) -> tuple[str, dict[str, int]]:
    """A haul of its own and where its record is."""
    haul_id = f"ZZ2-{uuid.uuid4().hex[:8]}-EWR"
    url = f"{gateway}/topics/hauls.events"
    async with aiohttp.ClientSession() as session, session.post(url, json=_haul(haul_id)) as response:
        assert response.status == 200, await response.text()
        (place,) = (await response.json())["results"]
    return haul_id, place


async def test_kcat_decodes_through_the_gateway(mesh: TestMesh) -> None:
    """A kcat that was built with Avro asks the gateway for the schema; Debian's was not, and shows the framing."""
    kcat = requires("kcat")
    gateway = mesh.url("gateway")
    haul_id, place = await _posted(gateway)
    features = subprocess.run([kcat, "-V"], capture_output=True, text=True, check=True).stdout  # noqa: ASYNC221
    where = ["-t", "hauls.events", "-p", str(place["partition"]), "-o", str(place["offset"]), "-c", "1", "-q"]
    decoding = ["-s", "value=avro", "-r", gateway] if "Avro" in features else ["-s", "value=>bI"]
    done = subprocess.run(  # noqa: ASYNC221 - nothing else runs in this test meanwhile
        [kcat, "-C", "-b", mesh.servers.kafka_brokers, *where, *decoding, "-f", "%k|%h|%s\n"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    key, headers, value = done.stdout.splitlines()[0].split("|")
    assert key == haul_id
    assert "ce_type=hauls.HaulDeparted" in headers.split(",")
    if "Avro" in features:
        assert json.loads(value)["carrier"] == "ZZ"
    else:
        magic, schema_id = value[0], int(value[1:])  # kcat puts nothing between the two numbers
        assert magic == "0"
        async with aiohttp.ClientSession() as session, session.get(f"{gateway}/schemas/ids/{schema_id}") as response:
            assert json.loads((await response.json(content_type=None))["schema"])["name"] == "HaulDeparted"


async def test_confluents_own_deserialiser_decodes_through_the_gateway(mesh: TestMesh) -> None:
    haul_id, place = await _posted(mesh.url("gateway"))
    value = await asyncio.to_thread(_deserialised, mesh.servers.kafka_brokers, mesh.url("gateway"), place)
    assert (value["haul_id"], value["carrier"]) == (haul_id, "ZZ")


def _deserialised(brokers: str, gateway: str, place: dict[str, int]) -> dict[str, Any]:
    from confluent_kafka import Consumer, TopicPartition
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroDeserializer
    from confluent_kafka.serialization import MessageField, SerializationContext

    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "outside", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition("hauls.events", place["partition"], place["offset"])])
        message = consumer.poll(30)
        assert message is not None, "nothing came within 30 s"
        assert message.error() is None, message.error()
        context = SerializationContext("hauls.events", MessageField.VALUE)
        with SchemaRegistryClient({"url": gateway}) as registry:
            decoded = AvroDeserializer(registry)(message.value(), context)
        assert isinstance(decoded, dict)
        return decoded
    finally:
        consumer.close()


async def test_lag_returns_to_zero_and_every_service_is_up(mesh: TestMesh) -> None:
    async with aiohttp.ClientSession() as session:

        async def all_up() -> dict[str, str] | None:
            async with session.get(f"{mesh.url('health')}/health/mesh") as response:
                states = {row["service"]: row["state"] for row in (await response.json())["services"]}
            expected = {"gateway", "relay", "projector", "archiver", "health-aggregator"}
            return states if expected <= {name for name, state in states.items() if state == "UP"} else None

        async def no_lag() -> bool:
            async with session.get(f"{mesh.url('health')}/lag") as response:
                rows = (await response.json())["items"]
            groups = {row["group"] for row in rows if row["lag_records"] == 0}
            return {"projector.yards", "projector.hauls", "archiver"} <= groups and not any(
                row["lag_records"] for row in rows if row["group"].startswith("projector.")
            )

        await wait_until("every service to be up at /health/mesh", all_up, 30)
        await wait_until("the projections to have no lag", no_lag, 30)
