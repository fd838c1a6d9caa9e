"""`make chaos WHAT=archive ROUNDS=50`: archivers under load, killed, paused and cut off; then every record is counted.

Each round breaks one thing: kill -9 of one of two archivers (ROUNDS times); among them, at random, pauses of one until
the other has written in its place (a zombie, when it wakes), stops of S3 and of Kafka. Every acknowledged record must
be in the archive once, at its offset, byte for byte as it is on the topic.
"""

import asyncio
import contextlib
import json
import math
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_archive.chain.manifests import PartitionPath, last_manifest
from atlas_archive.format.records import Record
from atlas_archive.history import histories, read_history
from atlas_archive.proof.verify import verify
from atlas_archive.store import S3Address, S3Store, open_store
from atlas_cli.topics.topic_reader import open_topic_reader
from atlas_kafka.cluster.admin import TopicSpec, ensure_topics
from atlas_kafka.producing.producer import Delivery, Outgoing, open_producer, send_all
from atlas_local.serverset import Servers, ServerSet
from atlas_local.waiting import wait_until

from tests.bench.archive_load import PARTITIONS, values, write_schemas
from tests.bench.archive_runs import archiver_env
from tests.bench.machine import servers
from tests.options import options

TOPIC = "chaos.events"
BATCH = 400
SETTLE_S = 120
# Short, so that a dead or paused archiver's partitions are taken over soon and there are many rounds a minute.
SESSION_S = "3"


@dataclass
class Instance:
    """One archiver, started again whenever it has been killed; each life has a name of its own."""

    env: dict[str, str]
    number: int
    lives: int = 0
    process: asyncio.subprocess.Process | None = None

    @property
    def name(self) -> str:
        return f"archiver-{self.number}-{self.lives}"

    async def start(self) -> None:
        self.lives += 1
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "atlas_archiver"),
            env={**self.env, "ATLAS_INSTANCE": self.name},
            stdout=asyncio.subprocess.DEVNULL,
        )

    def send(self, number: int) -> None:
        assert self.process is not None
        assert self.process.returncode is None, f"{self.name} ended by itself with {self.process.returncode}"
        self.process.send_signal(number)

    async def kill(self) -> None:
        self.send(signal.SIGKILL)
        await self.process.wait()  # type: ignore[union-attr]


@dataclass
class Chaos:
    """What is under way, and what was done to it."""

    own: ServerSet
    store: S3Store
    instances: list[Instance]
    random: random.Random
    acknowledged: int = 0
    done: Counter[str] = field(default_factory=Counter)

    async def produce(self, stop: asyncio.Event) -> None:
        """Send records of every kind until `stop`; each is sent again until it is acknowledged."""
        payloads, number = list(values(200)), 0
        async with open_producer(self.own.servers.kafka_brokers, "chaos") as producer:
            while not stop.is_set():
                batch = [self._record(payloads, number + i) for i in range(BATCH)]
                results = await send_all(producer, batch)
                sent = sum(isinstance(result, Delivery) for result in results)
                self.acknowledged += sent
                number += BATCH
                await asyncio.sleep(0.02 if sent else 0.5)  # the load's pace, not a wait for something

    def _record(self, payloads: list[bytes], number: int) -> Outgoing:
        value: bytes | None = payloads[number % len(payloads)]
        if number % 17 == 3:
            value = None
        elif number % 17 == 5:
            value = b"not Avro %d" % number
        elif number % 17 == 7 and value is not None:
            value = value[:-2]
        headers = [("number", b"%d" % number), ("ce_type", b"bench.OrderPlaced")]
        return Outgoing(TOPIC, b"key-%d" % (number % 5000), value, headers, partition=number % PARTITIONS)

    async def kill(self) -> None:
        """kill -9 at a random moment, and start it anew."""
        instance = self.random.choice(self.instances)
        await asyncio.sleep(self.random.uniform(0.2, 2.0))  # the moment is the point
        await instance.kill()
        await instance.start()

    async def zombie(self) -> None:
        """Pause an archiver that holds records until the other has archived in its place, then let it go on."""
        victim = self.random.choice(self.instances)
        incarnation = await self._incarnation()
        paths = [PartitionPath(TOPIC, incarnation, partition) for partition in range(PARTITIONS)]

        async def writers() -> dict[int, str]:
            lasts = [await last_manifest(self.store, path) for path in paths]
            return {number: last.writer for number, last in enumerate(lasts) if last is not None}

        async def writes() -> bool:
            return victim.name in (await writers()).values()

        await wait_until(f"{victim.name} to archive", writes, SETTLE_S)
        before = [number for number, writer in (await writers()).items() if writer == victim.name]
        victim.send(signal.SIGSTOP)

        async def replaced() -> bool:
            now = await writers()
            return all(now[number] != victim.name for number in before)

        await wait_until(f"another to archive in place of {victim.name}", replaced, SETTLE_S)
        victim.send(signal.SIGCONT)

    async def s3(self) -> None:
        await self._away(self.own.s3)

    async def kafka(self) -> None:
        await self._away(self.own.kafka)

    async def _away(self, server: Any) -> None:
        await server.stop()
        await asyncio.sleep(self.random.uniform(1.0, 4.0))  # the length of the outage is the point
        await server.start()

    async def _incarnation(self) -> str:
        async with open_topic_reader(self.own.servers.kafka_brokers) as reader:
            described = await reader.describe(TOPIC)
        assert described is not None
        return described.incarnation

    async def prove(self) -> dict[str, Any]:
        """Wait until everything is archived, then compare record by record, and with `verify`."""
        incarnation = await self._incarnation()
        topic = await read_topic(self.own.servers)

        async def complete() -> bool:
            found = await histories(self.store, TOPIC, incarnation)
            return all(found[p].next_offset > max(records) for p, records in topic.items() if p in found) and len(
                found
            ) == len(topic)

        await wait_until("every record to be archived", complete, SETTLE_S)
        missing = duplicates = mismatches = archived = 0
        for partition, history in (await histories(self.store, TOPIC, incarnation)).items():
            seen: set[int] = set()
            async for records in read_history(self.store, history):
                for record in records:
                    archived += 1
                    duplicates += record.offset in seen
                    seen.add(record.offset)
                    mismatches += topic[partition].get(record.offset) != record
            missing += len(topic[partition].keys() - seen)
        async with open_topic_reader(self.own.servers.kafka_brokers) as reader:
            (report,) = await verify(self.store, only=[TOPIC], reader=reader)
        lost = self.acknowledged - sum(map(len, topic.values()))
        return {
            "records": archived,
            "acknowledged": self.acknowledged,
            "missing": missing + max(0, lost),
            "duplicates": duplicates,
            "mismatches": mismatches,
            "problems": [text for text in report.problems if "extra" not in text],
            "leftovers": sum("extra" in text for text in report.problems),
        }


async def read_topic(servers: Servers) -> dict[int, dict[int, Record]]:
    """All that the topic holds, by partition and offset."""
    found: dict[int, dict[int, Record]] = {partition: {} for partition in range(PARTITIONS)}
    consumer = AIOKafkaConsumer(bootstrap_servers=servers.kafka_brokers, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        held = [TopicPartition(TOPIC, partition) for partition in found]
        consumer.assign(held)
        await consumer.seek_to_beginning(*held)
        ends = await consumer.end_offsets(held)
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                for r in records:
                    found[tp.partition][r.offset] = Record(r.offset, r.timestamp, r.key, tuple(r.headers), r.value)
    finally:
        await consumer.stop()
    return found


async def run(rounds: int, seed: int, script: list[str] | None = None) -> dict[str, Any]:
    """`rounds` kills with each other fault once in twenty among them, or what `script` says; the summary."""
    began = time.monotonic()
    chance = random.Random(seed)
    kinds = script or ["kill"] * rounds + ["zombie", "s3", "kafka"] * math.ceil(rounds / 20)
    if script is None:
        chance.shuffle(kinds)
    with tempfile.TemporaryDirectory() as folder:
        write_schemas(Path(folder) / TOPIC, TOPIC)
        async with servers() as own:
            specs = [TopicSpec(TOPIC, PARTITIONS, {"retention.ms": "-1"}), TopicSpec("health.heartbeats", 1)]
            await ensure_topics(own.servers.kafka_brokers, specs)
            at = own.servers
            address = S3Address("chaos", at.s3_endpoint, at.s3_access_key, at.s3_secret_key, at.s3_region)
            env = archiver_env(at, Path(folder) / TOPIC, "chaos", SEGMENT_MAX_AGE_S="0.3")
            env["ATLAS_KAFKA_SESSION_S"] = SESSION_S
            async with open_store(address, create_bucket=True) as store:
                chaos = Chaos(own, store, [Instance(env, number) for number in range(2)], chance)
                return {**await _break(chaos, kinds), "seconds": round(time.monotonic() - began, 1), "seed": seed}


async def _break(chaos: Chaos, kinds: list[str]) -> dict[str, Any]:
    stop = asyncio.Event()
    for instance in chaos.instances:
        await instance.start()
    producing = asyncio.create_task(chaos.produce(stop))
    try:
        for number, kind in enumerate(kinds, 1):
            sys.stderr.write(f"round {number} of {len(kinds)}: {kind}, {chaos.acknowledged} records\n")
            await getattr(chaos, kind)()
            chaos.done[kind] += 1
        stop.set()
        async with asyncio.timeout(SETTLE_S):
            await producing
        summary = await chaos.prove()
    finally:
        producing.cancel()
        for instance in chaos.instances:
            if instance.process is not None and instance.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    instance.process.kill()
                await instance.process.wait()
    return {**summary, "rounds": len(kinds), **{f"{kind}_rounds": count for kind, count in chaos.done.items()}}


def main() -> None:
    asked = options(__doc__, rounds=50, seed=int(time.time()))
    summary = asyncio.run(run(asked.rounds, asked.seed))
    print(json.dumps(summary, indent=2))
    if summary["missing"] or summary["duplicates"] or summary["mismatches"] or summary["problems"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
