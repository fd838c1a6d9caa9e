"""Who tells: the one that leads, and of nothing that was told before."""

import time
from types import SimpleNamespace
from typing import Any

from atlas_health_aggregator.judging.admission import Heartbeat, Limits
from atlas_health_aggregator.judging.group_changes import GroupChange
from atlas_health_aggregator.judging.liveness import Change, Mesh, State
from atlas_health_aggregator.judging.status import Status
from atlas_health_aggregator.lag import LagReport
from atlas_health_aggregator.lead import Lead
from atlas_health_aggregator.telling import Teller

UP = Change("relay", State.UNKNOWN, State.UP, "", 1, 1_700_000_000_000)


class Topic:
    """What was told, as it is on the topic."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.waits = False
        self.read = 0

    def add(self, changes: list[Change]) -> None:
        self.told += changes

    def add_groups(self, changes: list[GroupChange], _services: object) -> None:
        self.told += changes

    async def last(self) -> list[Any]:
        self.read += 1
        return list({type(each).__name__ + getattr(each, "group", each.service): each for each in self.told}.values())


class Aggregator:
    """One of several on one topic."""

    def __init__(self, topic: Any) -> None:
        self.mesh = Mesh(
            interval_s=2,
            down_after_intervals=3.5,
            now=100,
            epoch_ms=1_700_000_000_000,
            limits=Limits(frozenset({"relay"})),
        )
        self.lead = Lead("heartbeats")
        self.teller = Teller(self.mesh, topic, self.lead, topic.last)

    def hear(self, now: float, state: str = "READY") -> None:
        sent_at = 1_700_000_000_000
        self.mesh.observe(Heartbeat("relay", "relay-1", state, {}, "1", sent_at, sent_at, 2000), now)

    def leads(self, leads: bool) -> None:
        partitions = [SimpleNamespace(topic="heartbeats")] if leads else []
        self.lead.assigned(None, partitions)


def moves(topic: Topic) -> list[tuple[State, State]]:
    return [(each.previous, each.current) for each in topic.told]


async def test_only_the_one_that_leads_tells() -> None:
    topic = Topic()
    one, other = Aggregator(topic), Aggregator(topic)
    one.leads(True)
    for each in (one, other):
        each.hear(100)
        await each.teller.judge(100)
    assert moves(topic) == [(State.UNKNOWN, State.UP)]
    assert other.mesh.view(100)["services"][0]["state"] == "UP"  # it knows all the same


async def test_who_takes_over_tells_nothing_twice_and_keeps_nothing_back() -> None:
    topic = Topic()
    one, other = Aggregator(topic), Aggregator(topic)
    one.leads(True)
    for each in (one, other):
        each.hear(100)
        await each.teller.judge(100)
    # The first one dies at the moment at which the relay says that it is not ready: only the other one has heard that.
    other.hear(102, "NOT_READY")
    await other.teller.judge(102)
    assert len(topic.told) == 1
    other.leads(True)
    await other.teller.judge(102.25)
    await other.teller.judge(102.5)
    assert moves(topic)[1:] == [(State.UP, State.DEGRADED)]
    assert topic.read == 2


async def test_a_rebalance_that_gives_all_back_tells_nothing() -> None:
    topic = Topic()
    one = Aggregator(topic)
    one.leads(True)
    one.hear(100)
    await one.teller.judge(100)
    one.lead.revoked(None, set())
    await one.teller.judge(100.5)
    one.leads(True)
    await one.teller.judge(101)
    assert moves(topic) == [(State.UNKNOWN, State.UP)]


async def test_what_is_on_its_way_counts_as_told() -> None:
    topic = Topic()
    topic.told, topic.waits = [UP], True
    one = Aggregator(topic)
    one.leads(True)
    one.hear(100)
    await one.teller.judge(100)
    assert topic.read == 0  # Kafka is away: what was told is not on the topic yet
    topic.waits = False
    await one.teller.judge(100.25)
    assert (topic.read, len(topic.told)) == (1, 1)


async def test_of_groups_only_the_one_that_leads_tells() -> None:
    topic = Topic()
    one = Aggregator(topic)
    stopped = LagReport(1, (), {}, ours={"relay": True}, statuses={"relay": Status.STOPPED})
    for _ in range(4):
        one.teller.groups(stopped)
    assert topic.told == []
    one.leads(True)
    await one.teller.judge(time.monotonic())
    for _ in range(4):
        one.teller.groups(stopped)
    assert [change.current for change in topic.told] == [Status.STOPPED]
