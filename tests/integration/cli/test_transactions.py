"""`atlas transactions` on a real broker, with no service beside it."""

import asyncio
import json
import uuid
from collections.abc import Callable

import pytest
import typer
from aiokafka import AIOKafkaProducer, TopicPartition
from atlas_cli.commands.operate.transactions import register
from atlas_cli.terminal.output import CommandError
from atlas_kafka.producing.transactional import open_transactional_producer
from atlas_local.testing import MakeTopic, Servers
from typer.testing import CliRunner

pytestmark = pytest.mark.integration

app = typer.Typer()
register(app)


@pytest.fixture
def run(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.setenv("ATLAS_KAFKA_BROKERS", servers.kafka_brokers)
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments: str, answer: str = "") -> str:
        result = CliRunner().invoke(app, ["transactions", *arguments], input=answer, catch_exceptions=False)
        return result.output

    return invoke


async def _in_thread(call: Callable[..., str], *arguments: str, **options: str) -> str:
    return await asyncio.to_thread(call, *arguments, **options)


async def test_open_transactions_are_shown_and_aborted(
    servers: Servers, make_topic: MakeTopic, run: Callable[..., str]
) -> None:
    topic, mine = await make_topic(partitions=2), f"etl-{uuid.uuid4().hex[:8]}"
    async with open_transactional_producer(servers.kafka_brokers, "test", mine) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"x", partition=1)
        rows = [row for row in json.loads(await _in_thread(run, "ls", "--json")) if row["topic"] == topic]
        (row,) = rows
        assert (row["partition"], row["records"], row["transactional_id"], row["hanging"]) == (1, 1, mine, False)
        assert row["since"] is not None
        assert 0 <= row["seconds"] < 60
        assert mine in await _in_thread(run, "ls")

        assert "Aborted" in await _in_thread(run, "abort", mine, answer="n\n")
        with pytest.raises(CommandError, match="holds back no partition"):
            await _in_thread(run, "abort", "--yes", f"{mine}-other")
        with pytest.raises(CommandError, match=f"{mine} has it open"):
            await _in_thread(run, "abort", "--yes", "--hanging", f"{topic}/1")
        with pytest.raises(CommandError, match=f"no open transaction is known in {topic}/0"):
            await _in_thread(run, "abort", "--yes", "--hanging", f"{topic}/0")
        assert f"the transaction of {mine} is aborted" in await _in_thread(run, "abort", "--yes", mine)
        assert mine not in await _in_thread(run, "ls")


async def test_a_topic_that_is_written_to_meanwhile_holds_nobody_back(
    servers: Servers, make_topic: MakeTopic, run: Callable[..., str]
) -> None:
    topic = await make_topic(partitions=1)
    async with AIOKafkaProducer(bootstrap_servers=servers.kafka_brokers) as producer:

        async def write() -> None:
            while True:
                await producer.send_and_wait(topic, b"x")

        writing = asyncio.create_task(write())
        try:
            assert topic not in await _in_thread(run, "ls", "--json")
        finally:
            writing.cancel()


@pytest.mark.parametrize("arguments", [(), ("id", "--hanging", "t/1"), ("--hanging", "t"), ("--hanging", "t/x")])
def test_what_to_abort_must_be_said(arguments: tuple[str, ...], run: Callable[..., str]) -> None:
    with pytest.raises(CommandError):
        run("abort", "--yes", *arguments)


def test_a_partition_is_read_off_its_name() -> None:
    from atlas_cli.commands.operate.transactions import _partition_of

    assert _partition_of("a/b/12") == TopicPartition("a/b", 12)
