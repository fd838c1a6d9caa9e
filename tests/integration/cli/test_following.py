"""`atlas tail` on a real broker."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from atlas_cli.terminal.output import CommandError
from atlas_cli.topics.following import Looked, Query, Start, follow
from atlas_contracts.codec import Codec
from atlas_contracts.headers import cloud_event_headers
from atlas_contracts.registry import Registry
from atlas_kafka.cluster.groups import open_reader
from atlas_local.testing import Servers

from tests.contexts import SCHEMAS

pytestmark = pytest.mark.integration

CARRIER = "hauls.CarrierListed"
ATLAS = (sys.executable, "-m", "atlas_cli.main")
TOPICS_OF_NODES = """topics:
  deep.events:
    key: id
    events: [deep.Node]
    partitions: 1
    retention: forever
"""
T0 = 1_700_000_000_000
DEADLINE_S = 30


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(Registry.load(SCHEMAS))


@pytest.fixture
async def producer(servers: Servers) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=servers.kafka_brokers) as started:
        yield started


@pytest.fixture
async def reader(servers: Servers) -> AsyncIterator[AIOKafkaConsumer]:
    async with open_reader(servers.kafka_brokers, "test") as started:
        yield started


@pytest.fixture
async def topic(make_topic: Callable[..., Awaitable[str]], producer: AIOKafkaProducer, codec: Codec) -> str:
    """Two partitions; offsets 0 to 2 of each: a carrier, a record of junk, a depot. A minute apart in time."""
    name = await make_topic(partitions=2)
    where = {"latitude": 40.7, "longitude": -74.2}
    depot = {"code": "EWR", "name": "Newark", **where}
    for partition in range(2):
        records = [
            codec.encode(CARRIER, {"carrier": f"C{partition}", "name": "Line"}),
            b"junk",
            codec.encode("hauls.DepotListed", depot),
        ]
        for offset, value in enumerate(records):
            headers = cloud_event_headers(event_type="x.Junk", source="test", subject="s") if offset == 1 else []
            await producer.send_and_wait(
                name,
                value,
                key=f"C{partition}".encode(),
                partition=partition,
                headers=headers,
                timestamp_ms=T0 + offset * 60_000,
            )
    return name


async def read(reader: AIOKafkaConsumer, codec: Codec, query: Query) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    async with asyncio.timeout(DEADLINE_S):
        await follow(reader, codec, query, shown.append, asyncio.Event())
    return shown


def places(shown: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return sorted((record["partition"], record["offset"]) for record in shown)


async def test_from_the_beginning_all_is_shown_undecodable_records_too(
    reader: AIOKafkaConsumer, codec: Codec, topic: str
) -> None:
    shown = await read(reader, codec, Query(topic, Start("beginning"), count=6))
    assert places(shown) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    first = next(record for record in shown if (record["partition"], record["offset"]) == (0, 0))
    assert first == {
        "topic": topic,
        "partition": 0,
        "offset": 0,
        "timestamp": "2023-11-14T22:13:20.000Z",
        "key": "C0",
        "type": CARRIER,
        "schema_id": 6,
        "value": {"carrier": "C0", "name": "Line"},
        "headers": {},
    }
    bad = next(record for record in shown if record["offset"] == 1)
    assert (bad["type"], bad["bytes"]) == ("x.Junk", "anVuaw==")
    assert bad["error"].startswith("not framed Avro")
    assert bad["headers"]["ce_source"] == "test"


async def test_an_offset_is_meant_in_every_partition(reader: AIOKafkaConsumer, codec: Codec, topic: str) -> None:
    assert places(await read(reader, codec, Query(topic, Start("offset", 2), count=2))) == [(0, 2), (1, 2)]


async def test_a_time_begins_at_the_first_record_from_then(reader: AIOKafkaConsumer, codec: Codec, topic: str) -> None:
    start = Start("time", T0 + 60_000)
    assert places(await read(reader, codec, Query(topic, start, count=4))) == [(0, 1), (0, 2), (1, 1), (1, 2)]


async def test_key_and_type_choose(reader: AIOKafkaConsumer, codec: Codec, topic: str) -> None:
    by_key = await read(reader, codec, Query(topic, Start("beginning"), key=b"C1", count=3))
    assert places(by_key) == [(1, 0), (1, 1), (1, 2)]


async def test_type_chooses_by_schema_and_by_header(reader: AIOKafkaConsumer, codec: Codec, topic: str) -> None:
    by_type = await read(reader, codec, Query(topic, Start("beginning"), type=CARRIER, count=2))
    assert places(by_type) == [(0, 0), (1, 0)]


@pytest.mark.parametrize("start", [Start("end"), Start("offset", 10**9), Start("time", T0 + 10**9)])
async def test_from_the_end_only_what_comes_is_shown(
    reader: AIOKafkaConsumer, codec: Codec, topic: str, producer: AIOKafkaProducer, start: Start
) -> None:
    shown: list[dict[str, Any]] = []
    following = asyncio.create_task(follow(reader, codec, Query(topic, start, count=1), shown.append, asyncio.Event()))
    deadline = time.monotonic() + DEADLINE_S
    # Sent until seen: when the reader has found the end is its own affair.
    while not following.done():
        assert time.monotonic() < deadline, "a record sent after the start was not shown"
        value = codec.encode(CARRIER, {"carrier": "new", "name": "New"})
        await producer.send_and_wait(topic, value, partition=0)
        await asyncio.wait([following], timeout=0.2)
    assert await following == 1
    assert shown[0]["value"]["carrier"] == "new"


async def test_stop_ends_it(reader: AIOKafkaConsumer, codec: Codec, topic: str) -> None:
    stop = asyncio.Event()

    def show(_: dict[str, Any]) -> None:
        stop.set()

    async with asyncio.timeout(DEADLINE_S):
        assert await follow(reader, codec, Query(topic, Start("beginning")), show, stop) >= 1


async def test_an_unknown_topic_is_said(reader: AIOKafkaConsumer, codec: Codec) -> None:
    with pytest.raises(CommandError, match="no topic is named nowhere"):
        await follow(reader, codec, Query("nowhere", Start("end")), lambda _: None, asyncio.Event())


async def tail(servers: Servers, topic: str, *options: str) -> asyncio.subprocess.Process:
    """`atlas tail` of the topic from its beginning, as a process."""
    return await asyncio.create_subprocess_exec(
        *ATLAS, "tail", topic, "--from", "beginning", *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"ATLAS_KAFKA_BROKERS": servers.kafka_brokers, "ATLAS_SCHEMAS_DIR": str(SCHEMAS)},
    )  # fmt: skip


async def test_the_command_prints_one_json_document_a_line(servers: Servers, topic: str) -> None:
    process = await tail(servers, topic, "-n", "6", "--json")
    out, err = await process.communicate()
    assert process.returncode == 0, err
    assert places([json.loads(line) for line in out.splitlines()]) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


@pytest.mark.parametrize("end", ["--until-end", "Ctrl-C"])
async def test_a_key_that_nobody_has_says_what_was_looked_through(servers: Servers, topic: str, end: str) -> None:
    """Case 63: it used to say nothing, and never ended."""
    process = await tail(servers, topic, "--key", "nobody", *([end] if end.startswith("--") else []))
    assert process.stderr is not None
    async with asyncio.timeout(DEADLINE_S):
        said = await process.stderr.readline()
        if end == "Ctrl-C":
            process.send_signal(signal.SIGINT)
        out, rest = await process.communicate()
    assert said.decode() == f"{topic}: looked through 6 records, to the end; 0 fit\n"
    assert (process.returncode, out, rest) == (0, b"", b"")


async def test_ctrl_c_ends_the_command_without_a_traceback(servers: Servers, topic: str) -> None:
    process = await tail(servers, topic)
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")


async def test_it_ends_at_the_end_and_says_what_was_looked_through(
    reader: AIOKafkaConsumer, codec: Codec, topic: str
) -> None:
    heard: list[tuple[int, int, bool]] = []

    def watch(looked: Looked) -> None:
        heard.append((looked.records, looked.shown, looked.at_end))

    for key, fit in ((b"nobody", 0), (b"C1", 3), (None, 6)):
        query = Query(topic, Start("beginning"), key=key, until_end=True)
        async with asyncio.timeout(DEADLINE_S):
            assert await follow(reader, codec, query, lambda _: None, asyncio.Event(), watch) == fit
        assert heard[-1] == (6, fit, True)
    empty = Query(topic, Start("end"), until_end=True)
    async with asyncio.timeout(DEADLINE_S):
        assert await follow(reader, codec, empty, lambda _: None, asyncio.Event()) == 0


async def test_transactions_markers_are_no_reason_to_wait_at_the_end(
    servers: Servers, reader: AIOKafkaConsumer, codec: Codec, topic: str
) -> None:
    for end in ("commit", "abort"):
        transactional = AIOKafkaProducer(bootstrap_servers=servers.kafka_brokers, transactional_id=f"{topic}-{end}")
        async with transactional as producer:
            await producer.begin_transaction()
            await producer.send(topic, b"in a transaction", partition=0)
            await (producer.commit_transaction() if end == "commit" else producer.abort_transaction())
    shown = await read(reader, codec, Query(topic, Start("beginning"), until_end=True))
    assert len(shown) == 7


@pytest.mark.parametrize("key", [b"[/red]", b"\x1b[2J\x9b31m", b"a\nb", "\u202eexe".encode(), b"\xff\xfe", b""])
async def test_no_key_value_or_header_of_others_speaks_to_the_terminal(
    servers: Servers, producer: AIOKafkaProducer, topic: str, key: bytes
) -> None:
    headers = [("ce_type", b"\x1b]0;x\x07[bold]"), ("\x1b[2J\u202e", b"\x9b\n")]
    await producer.send_and_wait(topic, b"\x1b[2J[/red]\n", key=key, headers=headers)
    for options in ((), ("--json",)):
        command = [
            *ATLAS,
            "tail",
            topic,
            "--from",
            "beginning",
            "--until-end",
            *options,
        ]
        environ = {**os.environ, "ATLAS_KAFKA_BROKERS": servers.kafka_brokers, "ATLAS_SCHEMAS_DIR": str(SCHEMAS)}
        run = await asyncio.create_subprocess_exec(
            *command, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await run.communicate()
        assert (run.returncode, err) == (0, b"")
        text = out.decode()
        assert all(line.isprintable() for line in text.split("\n"))
        assert text.count("\n") == 7


async def test_any_depth_is_shown(
    servers: Servers, make_topic: Callable[..., Awaitable[str]], producer: AIOKafkaProducer, tmp_path: Path
) -> None:
    """A type that holds itself, nested 200 and 5,000 deep: one line each, as it is or why not."""
    folder = tmp_path / "schemas"
    (folder / "deep").mkdir(parents=True)
    fields = [
        {"name": "id", "type": "string", "doc": "Which one."},
        {"name": "next", "type": ["null", "deep.Node"], "default": None, "doc": "The one inside."},
    ]
    node = {"type": "record", "namespace": "deep", "name": "Node", "doc": "A node.", "fields": fields}
    (folder / "deep" / "node.v1.avsc").write_text(json.dumps(node))
    (folder / "topics.yaml").write_text(TOPICS_OF_NODES)
    added = await asyncio.to_thread(
        subprocess.run,
        [*ATLAS, "schemas", "add", "deep/node.v1.avsc"],
        env={**os.environ, "ATLAS_SCHEMAS_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    if added.returncode:
        pytest.skip(f"a type that holds itself is refused when it is declared: {added.stderr}")
    number = int(added.stdout.split()[-1])
    topic = await make_topic(partitions=1)
    for depth in (1, 200, 5_000):
        await producer.send_and_wait(
            topic, b"\0" + number.to_bytes(4, "big") + b"\x02x\x02" * depth + b"\x02x\0", b"key"
        )
    run = await asyncio.create_subprocess_exec(
        *(*ATLAS, "tail", topic, "--from", "beginning", "--until-end"),
        env={**os.environ, "ATLAS_KAFKA_BROKERS": servers.kafka_brokers, "ATLAS_SCHEMAS_DIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await run.communicate()
    assert (run.returncode, err.decode()) == (0, "")
    lines = out.decode().splitlines()
    assert len(lines) == 3
    assert lines[0].split()[3:4] == ["deep.Node"]
    for line, depth in zip(lines, (1, 200, 5_000), strict=True):
        assert line.count('"next"') == depth + 1 or "UNDECODABLE" in line
