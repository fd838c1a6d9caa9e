"""What is known of one service, and what that comes to. Pure: time comes in as an argument."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from atlas_health_aggregator.judging.admission import LoopSaid, cleaned

REASON_MAX_CHARS = 2000
# Who has changed so often within so long flaps: the next change is told once it has held for a while.
FLAPS = 5
FLAPS_WITHIN_S = 60.0
CALM_S = 15.0


class State(StrEnum):
    """As in the schema of HealthChanged."""

    UNKNOWN = "UNKNOWN"
    UP = "UP"
    DEGRADED = "DEGRADED"
    DOWN = "DOWN"


@dataclass(frozen=True, slots=True)
class Change:
    """A service went from one state to another; `changed_at` is epoch milliseconds, `instances` those alive now."""

    service: str
    previous: State
    current: State
    reason: str
    instances: int
    changed_at: int


@dataclass(slots=True)
class Instance:
    name: str
    state: str
    reasons: Mapping[str, str]
    version: str
    environment: str
    loops: tuple[LoopSaid, ...]
    started_at: int
    sent_at: int
    seen: float
    window_s: float
    deadline: float
    alive: bool = True

    @property
    def leaving(self) -> bool:
        return self.state == "STOPPING"


@dataclass(slots=True)
class Service:
    name: str
    deadline: float  # when one that was never heard is down
    state: State = State.UNKNOWN
    published: State = State.UNKNOWN
    since: int = 0
    published_since: int = 0
    # When it last went from one state to another, monotonic.
    changes: deque[float] = field(default_factory=lambda: deque(maxlen=FLAPS))
    reason: str = "not heard since the aggregator started"
    heard: float = 0.0
    met: bool = False  # an instance has been heard since the aggregator started
    instances: dict[str, Instance] = field(default_factory=dict)

    def flaps(self, now: float) -> bool:
        """Whether it has changed so often lately that its state has to hold before it is told."""
        if len(self.changes) < FLAPS or now - self.changes[-1] >= CALM_S:
            return False
        return self.changes[-1] - self.changes[0] < FLAPS_WITHIN_S


def verdict(service: Service, now: float, *, flowing: bool) -> tuple[State, str]:
    """Its state, and why. `flowing`: heartbeats arrive, so that who is silent is dead."""
    alive = [instance for instance in service.instances.values() if instance.alive]
    if alive:
        unready = [
            f"{instance.name}: {check}: {reason}"
            for instance in alive
            if instance.state != "READY"
            for check, reason in (instance.reasons or {"readiness": "not ready"}).items()
        ]
        unready += [
            f"{instance.name}: {loop.name} is stuck: {loop.doing} for {loop.since_s:.0f} s"
            for instance in alive
            for loop in instance.loops
            if loop.stuck
        ]
        return (
            (State.DEGRADED, cleaned("; ".join(unready), REASON_MAX_CHARS))
            if unready
            else (State.UP, f"{len(alive)} ready")
        )
    if not service.instances and service.state is State.UNKNOWN and not (flowing and now > service.deadline):
        return State.UNKNOWN, "not heard since the aggregator started"
    if service.state is State.DOWN:
        return State.DOWN, service.reason
    return State.DOWN, _cause(service, now)


def _cause(service: Service, now: float) -> str:
    if not service.instances:
        return "no heartbeat since the aggregator started"
    latest = max(service.instances.values(), key=lambda instance: instance.seen)
    if latest.leaving:
        return f"stopped: {latest.name} said goodbye"
    return f"no heartbeat from {latest.name} for {now - latest.seen:.1f} s"
