"""Kafka's own load tools on the same broker: what no client can pass."""

import asyncio
import re
import tempfile

from atlas_local.servers.kafka import Kafka
from atlas_local.serverset import ServerSet

_TOOL_S = 300
_PRODUCED = re.compile(r"^(\d+) records sent, ([\d.,]+) records/sec", re.MULTILINE)


async def producer_limit(servers: ServerSet, topic: str, payloads: list[bytes], records: int) -> float:
    """Records a second of ProducerPerformance with acks=all, fed from these payloads; lines may hold no newline."""
    with tempfile.NamedTemporaryFile(suffix=".payload") as file:
        file.write(b"\n".join(payloads) + b"\n")
        file.flush()
        output = await _tool(
            servers,
            "org.apache.kafka.tools.ProducerPerformance",
            *("--topic", topic, "--num-records", str(records), "--throughput", "-1", "--payload-file", file.name),
            *("--producer-props", f"bootstrap.servers={servers.servers.kafka_brokers}", "acks=all"),
            *("batch.size=262144", "linger.ms=5", "buffer.memory=134217728"),
        )
    found = _PRODUCED.findall(output)
    assert found, f"ProducerPerformance printed no result:\n{output[-2000:]}"
    return float(found[-1][1].replace(",", ""))


async def consumer_limit(servers: ServerSet, topic: str, records: int) -> float:
    """Records a second of ConsumerPerformance over a topic that holds at least so many."""
    output = await _tool(
        servers,
        "org.apache.kafka.tools.ConsumerPerformance",
        *("--bootstrap-server", servers.servers.kafka_brokers, "--topic", topic, "--num-records", str(records)),
        "--hide-header",
    )
    rows = [line.split(", ") for line in output.splitlines() if line.count(", ") >= 9]
    assert rows, f"ConsumerPerformance printed no result:\n{output[-2000:]}"
    # The last columns leave out the time that joining the group took.
    return float(rows[-1][-1])


async def _tool(servers: ServerSet, main: str, *arguments: str) -> str:
    kafka = servers.kafka.component
    assert isinstance(kafka, Kafka)
    process = await asyncio.create_subprocess_exec(
        *kafka.java(),
        *("-Xms512m", "-Xmx512m", main, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(_TOOL_S):
        output, _ = await process.communicate()
    text = output.decode(errors="replace")
    assert process.returncode == 0, f"{main} ended with {process.returncode}:\n{text[-2000:]}"
    return text
