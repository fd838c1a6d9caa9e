"""kill -9, SIGSTOP, Kafka and PostgreSQL killed, while eight writers commit: each event arrives once and in order.

`make chaos WHAT=relay ROUNDS=50` prints one JSON summary; it ends with 1 unless every committed event was delivered
exactly once and in order per key.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import asyncpg
from atlas_local.serverset import ServerSet
from atlas_local.waiting import wait_until

from tests.bench.machine import servers
from tests.bench.relays import RelayProcess, new_outbox, new_topic
from tests.chaos.outbox_traffic import PARTITIONS, OutboxTraffic

# Short, so that a dead or paused relay's groups are taken over soon and there are many rounds a minute.
LEASE_S = 2.0
FLOWS_WITHIN_S = 60
DRAINED_WITHIN_S = 120


class Plan(NamedTuple):
    """How often each thing happens: kills of the one relay, then of one of two, pauses of one of two, restarts."""

    kills: int
    kills_of_two: int
    pauses: int
    kafka: int
    postgres: int

    @classmethod
    def of(cls, rounds: int) -> "Plan":
        """At least `rounds` kills, and the other things in proportion."""
        few = max(1, rounds // 25)
        return cls(rounds - rounds // 2, rounds // 2, max(1, rounds // 10), few, few)


@dataclass
class Chaos:
    """Relays on servers of their own, and what was done to them."""

    own: ServerSet
    traffic: OutboxTraffic
    choose: random.Random
    relays: list[RelayProcess] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    def start_relay(self) -> None:
        """One more relay."""
        log = self.own.home.log(f"relay-{len(self.relays)}")
        relay = RelayProcess(self.traffic.brokers, self.traffic.dsn, log, lease_s=LEASE_S)
        relay.spawn()
        self.relays.append(relay)

    async def carry_out(self, plan: Plan) -> None:
        """All of the plan, each step at a random moment while rows flow."""
        self.start_relay()
        for _ in range(plan.kills):
            await self._kill()
        self.start_relay()
        steps = [self._kill] * plan.kills_of_two + [self._pause] * plan.pauses
        steps += [self._restart_kafka] * plan.kafka + [self._restart_postgres] * plan.postgres
        self.choose.shuffle(steps)
        for step in steps:
            await step()
        await self._until_flowing()

    async def _kill(self) -> None:
        await self._until_flowing()
        relay = self.choose.choice(self.relays)
        relay.kill()
        relay.spawn()
        self._note("killed")

    async def _pause(self) -> None:
        """Longer than its lease: another takes over, then it wakes up in the middle of what it did."""
        await self._until_flowing()
        relay = self.choose.choice(self.relays)
        relay.pause()
        await asyncio.sleep(LEASE_S * self.choose.uniform(1.2, 3))  # the length of the pause is what is tried
        relay.resume()
        self._note("paused")

    async def _restart_kafka(self) -> None:
        await self._until_flowing()
        self.own.kafka.kill()
        await self.own.kafka.start()
        self._note("kafka_restarts")

    async def _restart_postgres(self) -> None:
        await self._until_flowing()
        self.own.postgres.kill()
        await self.own.postgres.start()
        self._note("postgres_restarts")

    async def _until_flowing(self) -> None:
        """Every relay that lives moves rows again; then a random moment."""
        dead = [relay for relay in self.relays if relay.exit_code is not None]
        assert not dead, f"{len(dead)} relays have ended by themselves"
        commits = self.traffic.commits
        await wait_until("commits to be made", lambda: self.traffic.commits > commits + 20, FLOWS_WITHIN_S)
        for relay in self.relays:
            await wait_until("a relay to send rows", lambda relay=relay: _sends(relay), FLOWS_WITHIN_S)
        await asyncio.sleep(self.choose.random() * 0.5)

    def _note(self, what: str) -> None:
        self.done[what] += 1
        print(
            f"{time.strftime('%X')} {what} {self.done[what]}, {self.traffic.commits} commits",
            file=sys.stderr,
            flush=True,
        )


async def _sends(relay: RelayProcess) -> bool:
    try:
        return await relay.metric("atlas_relay_rows_sent_total") > 0
    except OSError:
        return False


async def is_empty(dsn: str) -> bool:
    """Whether no row is to be sent, or to be deleted, of those that are committed."""
    connection = await asyncpg.connect(dsn)
    try:
        return not await connection.fetchval("SELECT EXISTS (SELECT FROM outbox.records)")
    finally:
        await connection.close()


async def run(plan: Plan, seed: int) -> dict[str, Any]:
    """Carry the plan out; what was done, and the outcome."""
    async with servers() as own:
        topic = await new_topic(own, "chaos.events", partitions=PARTITIONS)
        dsn = await new_outbox(own)
        traffic = OutboxTraffic(dsn, own.servers.kafka_brokers, topic, seed)
        await traffic.prepare()
        chaos, stop = Chaos(own, traffic, random.Random(seed)), asyncio.Event()
        writing = asyncio.create_task(traffic.run(stop))
        try:
            await chaos.carry_out(plan)
            stop.set()
            await writing
            await wait_until("the outbox to be empty", lambda: is_empty(dsn), DRAINED_WITHIN_S)
            outcome = await traffic.compare()
        finally:
            writing.cancel()
            for relay in chaos.relays:
                relay.kill()
    names = ("killed", "paused", "kafka_restarts", "postgres_restarts")
    return {**{name: chaos.done[name] for name in names}, **asdict(outcome), "seed": seed}


def is_clean(summary: dict[str, Any]) -> bool:
    """Whether every committed event was delivered, once and in order."""
    faults = ("duplicates", "missing", "uncommitted", "out_of_order")
    return not any(summary[name] for name in faults) and summary["committed"] == summary["delivered"] > 0


def main() -> None:
    """Print the summary as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    summary = asyncio.run(run(Plan.of(options.rounds), options.seed))
    print(json.dumps(summary))
    raise SystemExit(0 if is_clean(summary) else 1)


if __name__ == "__main__":
    main()
