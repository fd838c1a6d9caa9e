"""What a network and its servers do short of dying: stalls both ways, a slow broker, a full one, a fail-over.

`make chaos WHAT=network ROUNDS=2` does each of them that often, for 30 s each, and prints one JSON summary; it ends
with 1 unless every committed event was delivered once and in order per key, the relay said meanwhile why it was not
ready, and it was not busy with waiting.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import psutil
from atlas_local.home import Home
from atlas_local.ports import Ports
from atlas_local.servers.postgres import Postgres
from atlas_local.serverset import ServerSet
from atlas_local.supervising.component import Runner
from atlas_local.testing import migrate
from atlas_local.waiting import wait_until

from tests.bench.machine import Usage, servers
from tests.bench.relays import RelayProcess, new_topic
from tests.chaos.outbox_traffic import PARTITIONS, OutboxTraffic
from tests.chaos.proxy import Proxy, proxy_to
from tests.chaos.relay import is_clean, is_empty

# A relay that waits takes a hundredth of that; one that tries again without a pause takes all of a core.
BUSY_PERCENT = 20.0
STALL_S = 30.0
STOPPED_WITHIN_S = 5
FLOWS_WITHIN_S = 60
DRAINED_WITHIN_S = 60
_FULL_BYTES = 1024
_SLOW_S = 0.25
_LOOK_S = 0.2

Settings = Mapping[str, object]
Fault = Callable[[float], Awaitable[None]]


@dataclass
class Pair:
    """A primary, its synchronous standby, and the address that clients know."""

    primary: Runner
    standby: Runner
    address: Proxy
    dsn: str

    async def fail_over(self, *, silently: bool) -> None:
        """kill -9 the primary, promote the standby, move the address; silently, clients are not told."""
        component = self.standby.component
        assert isinstance(component, Postgres)
        if silently:
            self.address.switch(_port(component.dsn), silently=True)
        self.primary.kill()
        connection = await asyncpg.connect(component.dsn)
        assert await connection.fetchval("SELECT pg_promote()")
        await connection.close()
        if not silently:
            self.address.switch(_port(component.dsn))


@dataclass
class Network:
    """A relay, what it talks to, and what it said and cost while that was hard to reach."""

    traffic: OutboxTraffic
    relay: RelayProcess
    kafka: Runner
    to_kafka: Proxy
    postgres: Pair
    cpu_percent: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, dict[str, str]] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)

    async def postgres_stalls(self, seconds: float) -> None:
        """Nothing goes to PostgreSQL or comes from it, and no connection ends."""
        self.postgres.address.stall()
        await self._look("postgres_stalls", seconds)
        self.postgres.address.flow()

    async def kafka_stalls(self, seconds: float) -> None:
        """The same of Kafka."""
        self.to_kafka.stall()
        await self._look("kafka_stalls", seconds)
        self.to_kafka.flow()

    async def kafka_is_slow(self, seconds: float) -> None:
        """Each piece takes a quarter of a second each way."""
        self.to_kafka.delay_s = _SLOW_S
        await self._look("kafka_is_slow", seconds, may_be_ready=True)
        self.to_kafka.delay_s = 0.0

    async def kafka_is_full(self, seconds: float) -> None:
        """It can't write another byte, fails for that, and has room again when it is started."""
        assert self.kafka.process is not None
        psutil.Process(self.kafka.process.pid).rlimit(psutil.RLIMIT_FSIZE, (_FULL_BYTES, psutil.RLIM_INFINITY))
        await self._look("kafka_is_full", seconds)
        self.kafka.kill()
        await self.kafka.start()

    async def it_is_stopped_while_postgres_stalls(self, _seconds: float) -> None:
        """SIGTERM, and an end in time although nobody answers; then another one begins."""
        await self._stopped("it_is_stopped_while_postgres_stalls", self.postgres.address)

    async def it_is_stopped_while_kafka_stalls(self, _seconds: float) -> None:
        """The same with Kafka."""
        await self._stopped("it_is_stopped_while_kafka_stalls", self.to_kafka)

    async def _stopped(self, what: str, server: Proxy) -> None:
        await self._say(what)
        server.stall()
        # By then whatever it does waits for an answer.
        await wait_until("the relay to notice that nobody answers", self.relay.reasons, FLOWS_WITHIN_S)
        code = await self.relay.ended(STOPPED_WITHIN_S)
        assert code == 0, f"{what}: exit code {code}"
        server.flow()
        self.relay.spawn()
        await self.relay.until_ready(FLOWS_WITHIN_S)

    async def postgres_fails_over(self, seconds: float) -> None:
        """The primary dies, and its address is that of the standby."""
        await self._fail_over("postgres_fails_over", seconds, silently=False)

    async def postgres_fails_over_silently(self, seconds: float) -> None:
        """The same, and the connections to the primary never end: only a time-out tells."""
        await self._fail_over("postgres_fails_over_silently", seconds, silently=True)

    async def _fail_over(self, what: str, seconds: float, *, silently: bool) -> None:
        looking = asyncio.create_task(self._look(what, seconds, may_be_ready=True))
        await self.postgres.fail_over(silently=silently)
        await looking

    async def until_flowing(self) -> None:
        """Commits are made and sent again, and the relay says that it is ready."""
        before, commits = await self.relay.metric("atlas_relay_rows_sent_total"), self.traffic.commits
        await wait_until("commits to be made", lambda: self.traffic.commits > commits + 20, FLOWS_WITHIN_S)

        async def sends() -> bool:
            return await self.relay.metric("atlas_relay_rows_sent_total") > before + 20

        await wait_until("the relay to send rows", sends, FLOWS_WITHIN_S)
        await self.relay.until_ready(FLOWS_WITHIN_S)

    async def _look(self, what: str, seconds: float, *, may_be_ready: bool = False) -> None:
        """For so long: what the relay says and what it takes of a core."""
        await self._say(what)
        said: dict[str, str] = {}
        until = time.monotonic() + seconds
        async with Usage(self.relay.pid) as usage:
            while time.monotonic() < until:
                with suppress(aiohttp.ClientError):
                    said |= await self.relay.reasons()
                await asyncio.sleep(_LOOK_S)
        assert self.relay.exit_code is None, f"{what}: the relay ended by itself"
        assert said or may_be_ready, f"{what}: the relay said for {seconds:g} s that it was ready"
        self.reasons.setdefault(what, {}).update(said)
        self.cpu_percent[what] = round(max(self.cpu_percent.get(what, 0.0), usage.cpu_percent), 1)

    async def _say(self, what: str) -> None:
        self.done[what] = self.done.get(what, 0) + 1
        sys.stderr.write(f"{time.strftime('%X')} {what} {self.done[what]}, {self.traffic.commits} commits\n")


@asynccontextmanager
async def pair(home: Path) -> AsyncIterator[Pair]:
    """Two PostgreSQL of which the second has every commit before it is answered."""
    runners: list[Runner] = []
    homes = [Home(home / name) for name in ("primary", "standby")]
    try:
        for place in homes:
            place.make()
            primary = runners[0].component.url if runners else None
            server = Postgres(place, Ports(place.path / "ports.json"), "password-of-a-test", primary)
            runners.append(Runner(server, place.log("postgres")))
            await runners[-1].start()
        first = runners[0].component
        assert isinstance(first, Postgres)
        connection = await asyncpg.connect(first.dsn)
        # Only now: the standby has a copy of what the configuration was before, and will itself wait for nobody.
        await connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()
        async with proxy_to(_port(first.dsn)) as address:
            dsn = first.dsn.replace(f":{_port(first.dsn)}/", f":{address.port}/")
            yield Pair(runners[0], runners[1], address, dsn)
    finally:
        for runner in runners:
            runner.kill()
        for place in homes:
            place.remove()


@asynccontextmanager
async def network(own: ServerSet, home: Path, seed: int, relay_settings: Settings) -> AsyncIterator[Network]:
    """A relay that reaches everything through proxies, and writers who reach PostgreSQL so."""
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(pair(home))
        to_kafka = await stack.enter_async_context(proxy_to(own.kafka_behind_proxy, own.kafka_proxy))
        await asyncio.to_thread(migrate, postgres.dsn)
        suffix = home.name[-8:]
        topic = await new_topic(own, f"network.{suffix}", partitions=PARTITIONS)
        await new_topic(own, "health.heartbeats", partitions=1)
        traffic = OutboxTraffic(postgres.dsn, own.servers.kafka_brokers, topic, seed)
        await traffic.prepare()
        brokers, progress = f"127.0.0.1:{to_kafka.port}", f"network.progress.{suffix}"
        relay = RelayProcess(brokers, postgres.dsn, home / "relay.log", progress_topic=progress, **relay_settings)
        stack.callback(relay.kill)
        relay.spawn()
        await relay.until_ready()
        yield Network(traffic, relay, own.kafka, to_kafka, postgres)


async def run(
    own: ServerSet,
    home: Path,
    seed: int,
    faults: Callable[[Network], Sequence[Fault]],
    seconds: float,
    relay_settings: Settings,
) -> dict[str, Any]:
    """Each of the faults for so long; what happened, and the outcome."""
    async with network(own, home, seed, relay_settings) as net:
        stop = asyncio.Event()
        writing = asyncio.create_task(net.traffic.run(stop))
        try:
            await net.until_flowing()
            for fault in faults(net):
                await fault(seconds)
                await net.until_flowing()
            stop.set()
            await writing
            await wait_until("the outbox to be empty", lambda: is_empty(net.traffic.dsn), DRAINED_WITHIN_S)
            outcome = await net.traffic.compare()
        finally:
            writing.cancel()
        return {**net.done, "cpu_percent": net.cpu_percent, "reasons": net.reasons, **asdict(outcome), "seed": seed}


def every_fault(net: Network) -> list[Fault]:
    """All that can be done more than once."""
    stops = [net.it_is_stopped_while_postgres_stalls, net.it_is_stopped_while_kafka_stalls]
    return [net.postgres_stalls, net.kafka_stalls, net.kafka_is_slow, net.kafka_is_full, *stops]


def _faults(rounds: int) -> Callable[[Network], list[Fault]]:
    """Every fault so often; one standby allows one fail-over, the harder one."""
    return lambda net: [*every_fault(net) * rounds, net.postgres_fails_over_silently]


def is_calm_and_clean(summary: dict[str, Any]) -> bool:
    """Whether every committed event came once and in order, and the relay was never busy with waiting."""
    return is_clean(summary) and max(summary["cpu_percent"].values()) < BUSY_PERCENT


def _port(dsn: str) -> int:
    return int(dsn.rpartition(":")[2].partition("/")[0])


async def _with_own_servers(rounds: int, seconds: float, seed: int) -> dict[str, Any]:
    async with servers() as own:
        return await run(own, own.home.path / "network", seed, _faults(rounds), seconds, {})


def main() -> None:
    """Print the summary as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=STALL_S)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    summary = asyncio.run(_with_own_servers(options.rounds, options.seconds, options.seed))
    print(json.dumps(summary))
    raise SystemExit(0 if is_calm_and_clean(summary) else 1)


if __name__ == "__main__":
    main()
