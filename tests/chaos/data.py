"""Good traffic while hostile data come in on every way: nothing good is lost or late, nothing hostile goes unaccounted.

    make chaos WHAT=data ROUNDS=50      prints one JSON summary; some 1,300 hostile inputs a round

A whole mesh. Four writers send good events; beside them requests and records of other producers that are wrong in every
way we know. In the end each good event is in its read model and in the archive, each hostile input was refused, was
dead-lettered, or did what it may, and no service was started again.
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import aiohttp
import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from atlas_archive.chain.listing import summaries
from atlas_archive.history import histories, read_history
from atlas_archive.store import S3Address, open_store
from atlas_cli.commands.archive.segments import verify_topics
from atlas_cli.settings import CliSettings
from atlas_contracts.codec import Codec
from atlas_contracts.errors import Undecodable
from atlas_contracts.registry import Registry
from atlas_local.testing import TestMesh, running_mesh
from atlas_local.waiting import wait_until

from tests.chaos.data_batches import send_board
from tests.chaos.data_forged import strangers
from tests.chaos.data_good import Good
from tests.chaos.data_http import SERVICES
from tests.chaos.data_ledger import End, Ledger, Place
from tests.chaos.data_outbox import not_set_aside
from tests.chaos.data_round import Rounds
from tests.chaos.data_schemas import make_known, send_early
from tests.contexts import CHOSEN, SCHEMAS

SETTLE_S = 180.0
ARCHIVED_S = 120.0
WELL_S = 30.0
# To look reads whole tables, topics and the archive, on the cores that the mesh needs to get there.
LOOK_S = 0.5
TOPICS = ("hauls.events", "yards.events", "hauls.reference", "hauls.roads")
# Not for all of a minute at the end; and not of a second each, which would be most of the load on the machine.
SETTINGS = {"ATLAS_ARCHIVER_SEGMENT_MAX_AGE_S": "5", **CHOSEN}


async def disturb(mesh: TestMesh, codec: Codec, ledger: Ledger, rounds: int) -> Good:
    """Good traffic, and so many rounds of hostile input beside it; gives what the good traffic met."""
    good = Good(mesh, codec, ledger)
    writing = asyncio.create_task(good.run())
    try:
        async with Rounds(mesh, codec, ledger) as hostile:
            await wait_until("good traffic to flow", lambda: ledger.hauls and ledger.yards, 30)
            await send_early(mesh, codec, ledger)
            for number in range(rounds):
                await hostile.send()
                sys.stderr.write(f"round {number + 1} of {rounds}: {ledger.bad_sent} hostile inputs\n")
    finally:
        good.stop.set()
        await writing
    return good


async def visible(mesh: TestMesh, ledger: Ledger) -> int:
    """Wait until every good event is in its read model; how many are."""
    connection = await asyncpg.connect(mesh.dsn)

    async def seen() -> int:
        hauls = {row["haul_id"] for row in await connection.fetch("SELECT haul_id FROM readmodel.hauls")}
        yards = {row["yard_id"]: row for row in await connection.fetch("SELECT * FROM readmodel.yards")}
        versions: int = sum(
            yards[yard_id]["version"]
            for yard_id, version in ledger.yards.items()
            if yard_id in yards and yards[yard_id]["version"] == version and yards[yard_id]["status"] == "active"
        )
        return len(hauls & ledger.hauls) + versions

    async def all_seen() -> bool:
        return await seen() == ledger.good_sent

    try:
        await _patiently("every good event to be visible", all_seen, SETTLE_S)
        return await seen()
    finally:
        await connection.close()


async def archived(mesh: TestMesh, codec: Codec, ledger: Ledger) -> tuple[int, list[str]]:
    """How many good events are in the archive, and what `verify` has to say against it."""
    env = mesh.env
    settings = CliSettings.model_validate(_fields(env))
    problems: list[str] = []

    async def complete() -> bool:
        try:
            reports = await verify_topics(settings, list(TOPICS), quiet=True)
        except Exception as error:  # noqa: BLE001 - that the proof itself fails is a finding
            problems[:] = [f"verify ended with {getattr(error, 'exceptions', error)!r}"]
            return True
        problems[:] = [problem for report in reports for problem in report.problems]
        return bool(problems) or (len(reports) == len(TOPICS) and not any(report.behind for report in reports))

    await _patiently("the archive to hold every record", complete, ARCHIVED_S)
    address = S3Address(
        bucket=env["ATLAS_S3_BUCKET"],
        endpoint=env["ATLAS_S3_ENDPOINT"],
        access_key=env["ATLAS_S3_ACCESS_KEY"],
        secret_key=env["ATLAS_S3_SECRET_KEY"],
        region=env["ATLAS_S3_REGION"],
    )
    hauls: set[str] = set()
    versions: Counter[str] = Counter()
    async with open_store(address) as store:
        for topic in TOPICS[:2]:
            for incarnation in {row.incarnation for row in await summaries(store, topic)}:
                for history in (await histories(store, topic, incarnation)).values():
                    async with aclosing(read_history(store, history)) as blocks:
                        async for records in blocks:
                            for record in records:
                                _count(codec, record.value, hauls, versions)
    found = len(hauls & ledger.hauls)
    return found + sum(min(versions[yard_id], version) for yard_id, version in ledger.yards.items()), problems


def _count(codec: Codec, value: bytes | None, hauls: set[str], versions: Counter[str]) -> None:
    try:
        event = codec.decode(value)
    except Undecodable:
        return
    if event.type.startswith("hauls."):
        hauls.add(event.value["haul_id"])
    else:
        versions[event.value["yard_id"]] += 1


async def dead_letters(brokers: str) -> set[Place]:
    """Where the records were that are in a dead-letter topic."""
    found: set[Place] = set()
    async with AIOKafkaConsumer(bootstrap_servers=brokers, enable_auto_commit=False) as consumer:
        partitions = [TopicPartition(f"{topic}.dlq", 0) for topic in TOPICS]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning()
        while [tp for tp in partitions if await consumer.position(tp) < ends[tp]]:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    said = {name: value for name, value in record.headers if name.startswith("atlas_dlq_")}
                    place = (said["atlas_dlq_topic"], said["atlas_dlq_partition"], said["atlas_dlq_offset"])
                    found.add((place[0].decode(), int(place[1]), int(place[2])))
    return found


async def unaccounted(mesh: TestMesh, ledger: Ledger, dead: set[Place]) -> list[str]:
    """What became of no hostile record that was taken, or became of it and should not have."""
    connection = await asyncpg.connect(mesh.dsn)
    try:
        rows = {row["haul_id"] for row in await connection.fetch("SELECT haul_id FROM readmodel.hauls")}
        aborted = await connection.fetchval("SELECT count(*) FROM readmodel.hauls WHERE carrier = 'ABORTED'")
    finally:
        await connection.close()
    wrong = [f"{aborted} rows of aborted transactions"] if aborted else []
    wrong += await not_set_aside(mesh.dsn, ledger)
    for place, accepted in ledger.accepted.items():
        if place in dead:
            ended = End.DEAD in accepted.ends or (End.WAITED in accepted.ends and accepted.row in rows)
        else:
            seen = End.VISIBLE in accepted.ends and (accepted.row is None or accepted.row in rows)
            ended = seen or not accepted.ends.isdisjoint((End.UNREAD, End.REPEATED))
        if not ended:
            expected = " or ".join(sorted(accepted.ends))
            wrong.append(f"{accepted.kind} at {place}: {'dead-lettered' if place in dead else 'gone'}, not {expected}")
    return wrong


async def _patiently(what: str, condition: Any, seconds: float) -> None:
    """Wait, but go on with what there is: the summary says what is missing."""
    try:
        await wait_until(what, condition, seconds, LOOK_S)
    except TimeoutError as error:
        sys.stderr.write(f"{error}\n")


async def run(mesh: TestMesh, rounds: int) -> dict[str, Any]:
    """So many rounds on a running mesh; the summary."""
    codec, ledger = Codec(Registry.load(SCHEMAS)), Ledger()
    before = await _restarts(mesh)
    good = await disturb(mesh, codec, ledger, rounds)
    await send_board(mesh.servers.kafka_brokers, codec, ledger)
    make_known(mesh)
    await visible(mesh, ledger)
    dead: set[Place] = set()

    async def accounted() -> bool:
        dead.update(await dead_letters(mesh.servers.kafka_brokers))
        return not await unaccounted(mesh, ledger, dead)

    await _patiently("every hostile record to have its end", accounted, 60)
    # A projection whose last records were all set aside is not well, and is again with the next good ones.
    calm = Good(mesh, codec, ledger)
    writing = asyncio.create_task(calm.run())
    await _patiently("every service to be well again", _well(mesh), WELL_S)
    calm.stop.set()
    await writing
    good_visible = await visible(mesh, ledger)
    good_archived, problems = await archived(mesh, codec, ledger)
    open_ends = await unaccounted(mesh, ledger, dead) + ledger.broken + await strangers(mesh)
    after = await _restarts(mesh)
    return {
        "rounds": rounds,
        "good_sent": ledger.good_sent,
        "good_visible": good_visible,
        "good_archived": good_archived,
        "bad_sent": ledger.bad_sent,
        "bad_refused": ledger.refused.total(),
        "dead_lettered": len(dead & set(ledger.accepted)),
        "unaccounted": len(open_ends),
        "restarts": sum(after.values()) - sum(before.values()),
        "restarted": {name: count - before[name] for name, count in after.items() if count > before[name]},
        "longest_stall_s": round(good.longest_stall_s, 2),
        "slowest_answer_s": round(good.slowest_answer_s, 2),
        "examples": open_ends[:20],
        "archive_problems": problems[:20],
        "not_ready": await _not_ready(mesh),
    }


async def _restarts(mesh: TestMesh) -> dict[str, int]:
    return {name: (await mesh.part(name))["restarts"] for name in ("kafka", "postgres", "valkey", "s3", *SERVICES)}


async def _not_ready(mesh: TestMesh) -> list[str]:
    """Services that do not say that they are ready, or whose metrics do not answer."""
    wrong = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        for service in SERVICES:
            for path in ("/health/ready", "/metrics"):
                try:
                    async with session.get(mesh.url(service) + path) as response:
                        if response.status != 200:
                            wrong.append(f"{service} {path}: {response.status} {(await response.text())[:300]}")
                except (aiohttp.ClientError, TimeoutError) as error:
                    wrong.append(f"{service} {path}: {error!r}"[:300])
    return wrong


def _fields(env: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix("ATLAS_").lower(): value for name, value in env.items() if name.startswith("ATLAS_")}


def _well(mesh: TestMesh) -> Callable[[], Awaitable[bool]]:
    async def well() -> bool:
        return not await _not_ready(mesh)

    return well


def _last_words(mesh: TestMesh) -> str:
    """The errors that the services logged last: the mesh and its logs are gone in a moment."""
    told = []
    for service in SERVICES:
        lines = mesh.home.log(service).read_text(errors="replace").splitlines()
        errors = [line for line in lines if '"level": "error"' in line or '"level":"error"' in line or "Error" in line]
        told += [f"{service}: {line[:600]}\n" for line in errors if "dead letter" not in line][-15:]
    return "".join(told)


def failed(summary: Mapping[str, Any]) -> list[str]:
    """What is not as it must be; a stall is judged by whoever knows how busy the machine was."""
    wrong = [name for name in ("good_visible", "good_archived") if summary[name] != summary["good_sent"]]
    wrong += [name for name in ("unaccounted", "restarts", "archive_problems", "not_ready") if summary[name]]
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    rounds = parser.parse_args().rounds
    with running_mesh(SETTINGS, SCHEMAS) as mesh:
        summary = asyncio.run(run(mesh, rounds))
        if failed(summary):
            sys.stderr.write(_last_words(mesh))
    sys.stdout.write(json.dumps(summary) + "\n")
    raise SystemExit(1 if failed(summary) or summary["longest_stall_s"] >= 2 else 0)


if __name__ == "__main__":
    main()
