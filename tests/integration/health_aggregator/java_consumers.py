"""Kafka's own consumers of protocols that aiokafka does not speak: the newer one (KIP-848), and share groups."""

import asyncio
import os

from atlas_local.jars import ensure_jars, read_lock
from atlas_local.java import find_java

_PACKAGE = "org.apache.kafka.tools.consumer"
# Two cores, and it lives for a second: what is compiled well would be so too late.
_JAVA_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m")
_TIMEOUT_S = 60


async def newer_consumer(brokers: str, group: str, topic: str, records: int) -> list[str]:
    """Reads so many records from the start of the topic, commits them and leaves; their values."""
    properties = ("--command-property", "group.protocol=consumer")
    return await _run("ConsoleConsumer", brokers, group, topic, str(records), "--from-beginning", *properties)


async def share_consumer(brokers: str, group: str, topic: str, records: int) -> list[str]:
    """Takes so many of the records that come from now on, accepts them and leaves; their values."""
    return await _run("ConsoleShareConsumer", brokers, group, topic, str(records))


async def share_offsets(brokers: str, group: str) -> dict[str, str]:
    """What Kafka itself says of the group's one partition, by the names of its columns."""
    tool = (f"{_PACKAGE}.group.ShareGroupCommand", "--describe", "--offsets", "--group", group)
    header, row = (line.split() for line in (await _java(brokers, *tool)).splitlines() if line.strip())
    return dict(zip(header, row, strict=True))


async def _run(main: str, brokers: str, group: str, topic: str, *more: str) -> list[str]:
    tool = (f"{_PACKAGE}.{main}", "--group", group, "--topic", topic)
    return (await _java(brokers, *tool, "--max-messages", *more)).split()


async def _java(brokers: str, main: str, *arguments: str) -> str:
    jars = await asyncio.to_thread(ensure_jars)
    class_path = os.pathsep.join(str(jars / jar.file_name) for jar in read_lock())
    process = await asyncio.create_subprocess_exec(
        *(find_java(), *_JAVA_OPTIONS, "-cp", class_path, main, "--bootstrap-server", brokers, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            output, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{main} ended with {process.returncode}:\n{said.decode()[-2000:]}"
    return output.decode()
