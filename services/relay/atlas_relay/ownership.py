"""Which groups this instance relays: renewed, taken and given back, once a second."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import structlog
from atlas_errors.backoff import Backoff
from atlas_errors.metrics import RETRIES
from atlas_errors.policy import Fate, describe, fate_of
from atlas_outbox.relaying import leases
from atlas_outbox.relaying.leases import fair_share
from atlas_outbox.relaying.session import open_session
from atlas_runtime.metrics import timed_query
from atlas_runtime.serving.probes import Health

from atlas_relay.lanes import Lane
from atlas_relay.metrics import GROUPS_HELD, LEASE_EPOCH
from atlas_relay.spread import Spread, divided, settled
from atlas_relay.waiting import first_of

TICK_S = 1.0
_HANDOVER_S = 5.0

log = structlog.get_logger(__name__)


class Ownership:
    """Keeps this instance's fair share of the groups and hands it to the lanes."""

    def __init__(self, owner: str, dsn: str, ttl_s: float, lanes: Sequence[Lane], health: Health) -> None:
        self._owner = owner
        self._dsn = dsn
        self._ttl_s = ttl_s
        self._lanes = lanes
        self._health = health
        self._renewed_at = time.monotonic()
        self._spread = Spread(len(lanes))
        self._pressed = asyncio.Event()
        for lane in lanes:
            lane.on_batch = self._on_batch
        self._loop = health.loops.add("leases")
        self.epochs: dict[int, int] = {}
        health.note("leases", "not read yet")

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`. While the database is away the lanes keep their groups: what they write there is checked
        against the epoch, and what they send is fenced by whoever takes a group over."""
        backoff = Backoff()
        while not stop.is_set():
            try:
                self._loop.does("connect")
                async with open_session(self._dsn) as connection:
                    while not stop.is_set():
                        self._loop.does("renew leases")
                        await self._tick(connection)
                        self._loop.moved()
                        self._health.note("leases", None)
                        backoff.reset()
                        await first_of(stop, self._pressed, within_s=TICK_S)
            except Exception as error:
                if fate_of(error) is not Fate.TRANSIENT and not isinstance(error, asyncpg.InternalClientError):
                    raise
                RETRIES.labels("leases").inc()
                log.warning("will try again", what="leases", error=describe(error))
                self._health.note("leases", describe(error))
                self._loop.waits(describe(error))
                await backoff.wait(stop)

    async def fault(self) -> str | None:
        """Why what is held may be another's by now: a database that is silent, not away, raises nothing for long."""
        silent_s = time.monotonic() - self._renewed_at
        return f"PostgreSQL has not answered for {silent_s:.0f} s" if silent_s > self._ttl_s else None

    async def leave(self) -> None:
        """Give everything back, when no lane runs any more, so that others need not wait for the leases to run out."""
        try:
            async with asyncio.timeout(1), open_session(self._dsn) as connection:
                await leases.leave(connection, self._owner)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("leases run out by themselves", error=describe(error))

    async def _tick(self, connection: "asyncpg.Connection[Any]") -> None:
        """1. say that we live; 2. give back what is too much, after its lane let go; 3. take what is missing."""
        self._pressed.clear()
        with timed_query("leases.renew"):
            live, held = await leases.renew(connection, self._owner, self._ttl_s)  # 1
        self._renewed_at = time.monotonic()
        share = fair_share(live, self._owner)
        keep = dict(sorted(held.items())[:share])
        surplus = {group: epoch for group, epoch in held.items() if group not in keep}
        await self._assign(keep)
        if surplus:  # 2
            await self._let_go(set(surplus))
            await leases.release(
                connection,
                self._owner,
                {g: e for g, e in surplus.items() if not any(g in lane.taken for lane in self._lanes)},
            )
        if len(held) < share:  # 3
            with timed_query("leases.take"):
                taken = await leases.take(connection, self._owner, self._ttl_s, share - len(held))
            await self._assign({**keep, **taken})

    async def _let_go(self, groups: set[int]) -> None:
        """Wait a little for the lanes to end their cycle; one that takes longer is asked again next time."""
        for lane in self._lanes:
            try:
                async with asyncio.timeout(min(_HANDOVER_S, self._ttl_s / 2)):
                    while groups & set(lane.taken):
                        lane.changed.clear()
                        await lane.changed.wait()
            except TimeoutError:
                log.warning("a lane is slow to give up its groups", groups=sorted(groups & set(lane.taken)))

    def _on_batch(self, full: bool) -> None:
        if self._spread.noted(full=full):
            self._pressed.set()

    async def _assign(self, epochs: dict[int, int]) -> None:
        """Tell the lanes; a group that moves from one to another is first let go."""
        if epochs != self.epochs:
            log.info("relaying", groups=sorted(epochs))
            LEASE_EPOCH.clear()
            for group, epoch in epochs.items():
                LEASE_EPOCH.labels(str(group)).set(epoch)
            GROUPS_HELD.set(len(epochs))
        self.epochs = epochs
        self._spread.decide()
        wanted = divided(epochs, len(self._lanes), self._spread.in_use)
        free = self._assign_free(wanted)
        if moving := {group for groups in wanted for group in groups} - free:
            await self._let_go(moving)
            self._assign_free(wanted)

    def _assign_free(self, wanted: Sequence[Mapping[int, int]]) -> set[int]:
        now = settled(wanted, [lane.taken for lane in self._lanes])
        for lane, groups in zip(self._lanes, now, strict=True):
            lane.assign(groups)
        return {group for groups in now for group in groups}
