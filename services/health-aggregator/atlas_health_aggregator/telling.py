"""What has changed, told once, by the aggregator that leads.

    app.serve()  →  Teller.watch()  →  Mesh.judge()          →  Publisher
                    Teller.groups() →  GroupChanges.judge()  →  Publisher

All aggregators judge; what was told is on the topic. Who begins to lead reads it there, and tells what differs from it:
so neither a restart nor a rebalance tells anything twice, or keeps anything back.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from aiokafka.errors import KafkaError
from atlas_runtime.serving.probes import Health

from atlas_health_aggregator.changes import Publisher
from atlas_health_aggregator.judging.group_changes import GroupChange, GroupChanges
from atlas_health_aggregator.judging.liveness import Change, Mesh, State
from atlas_health_aggregator.lag import LagReport
from atlas_health_aggregator.lead import Lead

TICK_S = 0.25
FLUSH_TIMEOUT_S = 1.0

Told = Sequence[Change | GroupChange]


class Teller:
    """`read_told` gives what was told last of each service and group."""

    def __init__(self, mesh: Mesh, publisher: Publisher, lead: Lead, read_told: Callable[[], Awaitable[Told]]) -> None:
        self._mesh = mesh
        self._publisher = publisher
        self._lead = lead
        self._read_told = read_told
        self._groups = GroupChanges()
        self._led = False

    async def watch(self, health: Health) -> None:
        """Judge four times a second until cancelled."""
        loop = health.loops.add("judge")
        while True:
            loop.does("judge who is alive")
            await self.judge(time.monotonic())
            loop.moved()
            health.note("heartbeats", self._mesh.silence(time.monotonic()))
            await asyncio.sleep(TICK_S)

    async def judge(self, now: float) -> None:
        """Bring the mesh up to `now`, and tell of it if this one leads.

        1. Who begins to lead takes over what was told, once all that it told itself is on the topic.
        2. Judge. Another one tells of what follows from it, where this one does not lead.
        """
        if not self._lead.leads:
            self._led = False
        elif not self._led and not self._publisher.waits:  # 1
            told = await self._read_told()
            self._mesh.adopt(change for change in told if isinstance(change, Change))
            self._groups = GroupChanges()
            self._groups.restore(change for change in told if isinstance(change, GroupChange))
            self._led = self._lead.leads
        changes = self._mesh.judge(now)  # 2
        if self._led:
            self._publisher.add(changes)

    def groups(self, report: LagReport) -> None:
        """What has changed of the mesh's own groups; of others nothing is told."""
        if not self._led:
            return
        ours = {group: status for group, status in report.statuses.items() if report.ours.get(group)}
        changed = self._groups.judge(ours, report.rows, report.taken_at)
        if changed:
            view = self._mesh.view(time.monotonic())["services"]
            alive = {each["service"]: sum(one["alive"] for one in each["instances"]) for each in view}
            states = {each["service"]: (State(each["state"]), alive[each["service"]]) for each in view}
            self._publisher.add_groups(changed, states)

    async def last_words(self) -> None:
        """What changed at the very end, and what still waits: tried once, for the next start can tell it too."""
        with suppress(KafkaError, OSError):
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                await self.judge(time.monotonic())
                await self._publisher.flush()
