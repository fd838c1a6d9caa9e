"""Logical types at the door, end to end (case 5): what is posted, in every form, is on the topic as it is meant."""

import asyncio
import json
import os
import shutil
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_contracts.checks import add
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_kafka.cluster.groups import open_reader
from atlas_local.testing import Servers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contexts import SCHEMAS
from tests.integration.gateway.conftest import StartGateway, end

HERE = Path(__file__).parent / "typed"
EXPECTED: dict[str, dict[str, Any]] = json.loads((HERE / "typed.expected.json").read_text())
LINES = (HERE / "typed.ndjson").read_text().splitlines()
# What is refused, by the place in the file.
REFUSED = {number: told["refused"] for number, told in EXPECTED.items() if "refused" in told}
WIDE = {
    "type": "record",
    "name": "cases.Wide",
    "doc": "Values at the edges.",
    "fields": [
        {"name": "id", "type": "string", "doc": "key"},
        {
            "name": "sums",
            "doc": "38 digits",
            "type": {
                "type": "array",
                "items": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 9},
            },
        },
        {"name": "big", "type": ["null", "long"], "default": None, "doc": "64 bits"},
        {"name": "share", "type": ["null", "double"], "default": None, "doc": "a float"},
    ],
}


@dataclass(frozen=True)
class Typed:
    """A gateway over a schemas folder with `cases.Typed`, and what it has put on the topic."""

    url: str
    schemas: Path
    topic: str
    brokers: str
    codec: Codec

    async def value(self, result: dict[str, Any], reader: AIOKafkaConsumer) -> dict[str, Any]:
        """The decoded value of a record that a result names."""
        place = TopicPartition(self.topic, result["partition"])
        reader.assign([place])
        reader.seek(place, result["offset"])
        async with asyncio.timeout(10):
            record = await reader.getone()
        assert record.offset == result["offset"]
        return dict(self.codec.decode(record.value).value)


@pytest.fixture(scope="module")
def typed(
    servers: Servers,
    start_gateway: StartGateway,
    processes: dict[str, Any],
    prefix: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    topic = f"{prefix}cases.events"
    schemas = tmp_path_factory.mktemp("typed") / "schemas"
    shutil.copytree(SCHEMAS / "health", schemas / "health")
    shutil.copytree(HERE / "cases", schemas / "cases")
    (schemas / "cases" / "wide.v1.avsc").write_text(json.dumps(WIDE))
    declared = (SCHEMAS / "topics.yaml").read_text()
    kept = declared[declared.index("  health.heartbeats:") :].replace("  health.", f"  {prefix}typed.health.")
    (schemas / "topics.yaml").write_text(
        f"topics:\n  {topic}:\n    key: id\n    source: any\n    events: [cases.Typed, cases.Wide]\n"
        f"    partitions: 1\n    retention: 30d\n{kept}"
    )
    for path in sorted(schemas.rglob("*.avsc")):
        add(schemas, str(path.relative_to(schemas)))
    url = start_gateway(schemas_dir=str(schemas))
    yield Typed(url, schemas, topic, servers.kafka_brokers, Codec(Registry.load(schemas)))
    end([processes.pop(url)])


@pytest.fixture
async def session(typed: Typed) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(typed.url) as opened:
        yield opened


@pytest.fixture
async def reader(typed: Typed) -> AsyncIterator[AIOKafkaConsumer]:
    async with open_reader(typed.brokers, "test-typed") as opened:
        yield opened


def check(number: str, value: dict[str, Any]) -> None:
    """The decoded value of the record with this number is the one that is expected."""
    expected = EXPECTED[number]
    assert value["price"] == Decimal(expected["price"])
    assert int(value["price"].scaleb(2)) == expected["unscaled"]
    assert (value["day"], value["at"], value["uid"]) == (expected["day"], expected["at"], None)


FORMS = {
    "lines": ("application/x-ndjson", "\n".join),
    "array": ("application/json", lambda texts: f"[{','.join(texts)}]"),
    "CloudEvents": ("application/cloudevents-batch+json", lambda texts: f"[{','.join(map(_cloud, texts))}]"),
}


def _cloud(text: str) -> str:
    """The same record as a CloudEvent; its data is the very text, so no number is written anew."""
    number = json.loads(text)["value"]["id"]
    data = text[text.index('"value": ') + len('"value": ') : -1]
    return f'{{"specversion":"1.0","id":"{number}","source":"/t","type":"cases.Typed","data":{data}}}'


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("keyed", [False, True])
async def test_what_is_posted_is_what_is_meant(
    typed: Typed, session: aiohttp.ClientSession, reader: AIOKafkaConsumer, form: str, keyed: bool
) -> None:
    content_type, body = FORMS[form]
    headers = {"Content-Type": content_type} | ({"Idempotency-Key": uuid.uuid4().hex} if keyed else {})
    async with session.post(f"/topics/{typed.topic}", data=body(LINES), headers=headers) as response:
        assert response.status == 207, await response.text()
        results = (await response.json())["results"]
    assert len(results) == len(EXPECTED)
    for number, result in zip(EXPECTED, results, strict=True):
        if number in REFUSED:
            (fault,) = result["error"]["errors"]
            assert fault["path"].replace("/data", "/value") == REFUSED[number]
        else:
            check(number, await typed.value(result, reader))


@pytest.mark.parametrize("line", LINES)
async def test_one_record_at_a_time_plain_structured_and_in_binary_mode(
    typed: Typed, session: aiohttp.ClientSession, reader: AIOKafkaConsumer, line: str
) -> None:
    number = json.loads(line)["value"]["id"]
    data = json.loads(_cloud(line))  # for its attributes only
    attributes = {f"ce-{name}": data[name] for name in ("specversion", "id", "source", "type")}
    for content_type, body, more in (
        ("application/json", line, {}),
        ("application/cloudevents+json", _cloud(line), {}),
        ("application/json", line[line.index('"value": ') + len('"value": ') : -1], attributes),
    ):
        headers = {"Content-Type": content_type, **more}
        async with session.post(f"/topics/{typed.topic}", data=body, headers=headers) as response:
            answer = await response.json()
        if number in REFUSED:
            assert response.status == 422
            assert [fault["path"].replace("/data", "/value") for fault in answer["errors"]] == [REFUSED[number]]
        else:
            assert response.status == 200, answer
            check(number, await typed.value(answer["results"][0], reader))


@given(
    st.lists(st.decimals(-(10**29), 10**29, places=9, allow_nan=False), min_size=1, max_size=5),
    st.integers(-(2**63), 2**63 - 1),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_of_38_digits_and_64_bits_are_exact(typed: Typed, sums: list[Decimal], big: int) -> None:
    wanted = [each for each in sums if len(each.as_tuple().digits) <= 38]
    text = ",".join(f"{each:f}" for each in wanted)
    body = f'{{"type":"cases.Wide","value":{{"id":"x","sums":[{text}],"big":{big},"share":0.1}}}}'

    async def post() -> dict[str, Any]:
        async with aiohttp.ClientSession(typed.url) as session, open_reader(typed.brokers, "test-typed") as reader:
            headers = {"Content-Type": "application/json"}
            async with session.post(f"/topics/{typed.topic}", data=body, headers=headers) as response:
                assert response.status == 200, await response.text()
                return await typed.value((await response.json())["results"][0], reader)

    assert asyncio.run(post()) == {"id": "x", "sums": wanted, "big": big, "share": 0.1}


async def test_the_commands_produce_and_tail_say_the_same(typed: Typed, tmp_path: Path) -> None:
    """`atlas produce` of the file, and of the same as one document; `atlas tail` shows the JSON forms of the table."""
    document = tmp_path / "typed.json"
    document.write_text("[\n" + ",\n".join(LINES) + "\n]\n")
    env = {
        **os.environ,
        "ATLAS_GATEWAY_URL": typed.url,
        "ATLAS_KAFKA_BROKERS": typed.brokers,
        "ATLAS_SCHEMAS_DIR": str(typed.schemas),
    }

    async def atlas(*arguments: str) -> tuple[int | None, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "atlas_cli.main", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=env,
        )
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    for file in (HERE / "typed.ndjson", document):
        code, out, err = await atlas("produce", typed.topic, str(file))
        assert (code, out) == (1, f"{typed.topic}: 3 sent, 5 failed\n"), err
        for number, path in REFUSED.items():
            assert f"line {number}: {path}: found " in err
    code, out, err = await atlas("tail", typed.topic, "--from", "beginning", "--until-end", "--json")
    assert code == 0, err
    shown = [line["value"] for line in map(json.loads, out.splitlines()) if line["type"] == "cases.Typed"][-3:]
    assert shown == [
        {"id": "1", "price": "12.34", "day": "2024-02-29", "at": "2024-01-01T00:00:00.123456Z", "uid": None},
        {"id": "2", "price": "12.34", "day": "2024-02-29", "at": "2024-01-01T00:00:00.123456Z", "uid": None},
        {"id": "3", "price": "-0.01", "day": "1969-12-31", "at": "2024-01-01T00:00:00.000000Z", "uid": None},
    ]
