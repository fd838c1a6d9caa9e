"""Who is alive: heartbeats in a sliding window, judged. Pure: time comes in as an argument.

A service is
    UP        every living instance says it is ready
    DEGRADED  a living instance says that it is not
    DOWN      no instance is alive: each said goodbye, or was silent for `down_after_intervals` of its own intervals
    UNKNOWN   known from before the aggregator's own start, not heard since, and its time is not up yet

Silence proves death only while heartbeats arrive at all. The aggregator's own takes everybody's way, so a gap in *all*
of them means that the way is broken (Kafka is away, or this process has no partition, or a flood of others' records
lies before them; what is not believed does not count): nobody is judged during it, and after it everyone who
was alive has the full window again.

One heartbeat proves little, for anybody may have written it. The first instance of a known service is believed at
once; any other instance, and any service that is not known, only when it is heard again half an interval later. Until
then it is a candidate: not shown, and no sign that its service lives.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from atlas_contracts.values.timestamps import rfc3339

from atlas_health_aggregator.judging.admission import (
    CLOCK_TOLERANCE_MS,
    SERVICE_NAME,
    Heartbeat,
    Limits,
    OddHeartbeat,
    Oddity,
    cleaned,
)
from atlas_health_aggregator.judging.candidates import Candidates

# All heartbeats late by more than this is a gap. Below two intervals, so that it shows before anyone's window ends.
GAP_INTERVALS = 1.75
# An instance that is gone stays in the view for this long, then only its service does.
FORGET_AFTER_S = 300.0
# A heartbeat may be overtaken by its own process' goodbye. For no longer than this, or a goodbye of tomorrow would
# shut a service up until then.
GOODBYE_HOLDS_S = 5.0
# How long one heartbeat alone is proof, in its own intervals: the second one is due by then.
FIRST_WINDOW_INTERVALS = 1.5
REASON_MAX_CHARS = 2000


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
class _Instance:
    name: str
    state: str
    reasons: Mapping[str, str]
    version: str
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
class _Service:
    name: str
    deadline: float  # when one that was never heard is down
    state: State = State.UNKNOWN
    published: State = State.UNKNOWN
    since: int = 0
    published_since: int = 0
    reason: str = "not heard since the aggregator started"
    heard: float = 0.0
    met: bool = False  # an instance has been heard since the aggregator started
    instances: dict[str, _Instance] = field(default_factory=dict)


class Mesh:
    """The state of every service. `now` is always a monotonic time in seconds."""

    def __init__(
        self, *, interval_s: float, down_after_intervals: float, now: float, epoch_ms: int, limits: Limits
    ) -> None:
        """`interval_s` is the aggregator's own heartbeat interval; `now` and `epoch_ms` are the same moment."""
        self._gap_s = interval_s * GAP_INTERVALS
        self._window_s = interval_s * down_after_intervals
        self._intervals = down_after_intervals
        self._started, self._started_ms = now, epoch_ms
        self._limits = limits
        self._heard: float | None = None
        self._services: dict[str, _Service] = {}
        self._candidates = Candidates()

    def restore(self, last: Iterable[Change]) -> None:
        """Take the last published change of each service; they are UNKNOWN until heard, or until their time is up.

        Of services that are not known, only those that lived or would not have been forgotten yet.
        """
        for change in sorted(last, key=lambda each: each.changed_at, reverse=True):
            age_ms = self._started_ms - change.changed_at
            sane = -CLOCK_TOLERANCE_MS <= age_ms <= self._started_ms
            if change.service not in self._limits.known and not (
                sane
                and (change.current is not State.DOWN or age_ms <= self._limits.forget_after_s * 1000)
                and SERVICE_NAME.fullmatch(change.service)
                and self._others() < self._limits.others
            ):
                continue
            self._services[change.service] = _Service(
                change.service,
                deadline=self._started + self._window_s,
                published=change.current,
                published_since=change.changed_at if sane else 0,
                since=self._started_ms,
                heard=self._started,
            )

    def observe(self, heartbeat: Heartbeat, now: float) -> None:
        """Take one heartbeat that arrived at `now`.

        Arrival counts, not the sender's clock, so that clocks that differ declare nobody dead. Raises OddHeartbeat
        when there are as many services or instances as there may be.
        """
        service = self._services.get(heartbeat.service)
        known = service.instances.get(heartbeat.instance) if service is not None else None
        window_s = heartbeat.interval_ms / 1000 * self._intervals
        if service is None or known is None:
            first = heartbeat.service in self._limits.known and (service is None or not service.met)
            if not first and not self._candidates.confirm(heartbeat, now):
                return
            service = service or self._new_service(heartbeat.service, now)
            self._make_room(service)
            if first:
                window_s = max(self._window_s, heartbeat.interval_ms / 1000 * FIRST_WINDOW_INTERVALS)
        elif known.leaving and heartbeat.sent_at < known.sent_at and now - known.seen < GOODBYE_HOLDS_S:
            return
        if self._heard is None or now - self._heard > self._gap_s:
            self._grant_grace(now)
        self._heard = now
        service.heard, service.met = now, True
        service.instances[heartbeat.instance] = _Instance(
            name=heartbeat.instance,
            state=heartbeat.state,
            reasons=heartbeat.reasons,
            version=heartbeat.version,
            started_at=heartbeat.started_at,
            sent_at=heartbeat.sent_at,
            seen=now,
            window_s=window_s,
            deadline=now + window_s,
        )

    def _new_service(self, name: str, now: float) -> _Service:
        if name not in self._limits.known and self._others() >= self._limits.others:
            raise OddHeartbeat(
                Oddity.CROWDED,
                f"service: {name} is not known, and {self._limits.others} others are shown already;"
                " ATLAS_HEALTH_SERVICES names the known ones",
            )
        return self._services.setdefault(name, _Service(name, deadline=now, since=self._epoch_ms(now)))

    def _make_room(self, service: _Service) -> None:
        while len(service.instances) >= self._limits.instances:
            oldest = min(service.instances.values(), key=lambda each: (each.alive, each.seen))
            if oldest.alive:
                raise OddHeartbeat(Oddity.CROWDED, f"instance: {service.name} has {len(service.instances)} already")
            del service.instances[oldest.name]

    def _others(self) -> int:
        return len(self._services.keys() - self._limits.known)

    def judge(self, now: float) -> list[Change]:
        """Bring every state up to `now` and return what changed since the last published states, in order of name."""
        flowing = self._heard is not None and self.silence(now) is None
        changes = []
        for name in sorted(self._services):
            service = self._services[name]
            if flowing and name not in self._limits.known and now - service.heard > self._limits.forget_after_s:
                del self._services[name]
                continue
            for instance in list(service.instances.values()):
                if instance.leaving or (flowing and now > instance.deadline):
                    instance.alive = False
                if not instance.alive and now - instance.seen > FORGET_AFTER_S:
                    del service.instances[instance.name]
            state, reason = _verdict(service, now, flowing=flowing)
            if (change := self._move(service, state, reason, now)) is not None:
                changes.append(change)
        return changes

    def silence(self, now: float) -> str | None:
        """Why nobody can be judged: no heartbeat came for longer than a gap, not even the own one; else None."""
        silent_s = now - (self._started if self._heard is None else self._heard)
        return None if silent_s <= self._gap_s else f"no heartbeat arrives, not even its own, for {silent_s:.1f} s"

    def view(self, now: float) -> dict[str, Any]:
        """What GET /health/mesh shows, as of the last `judge`."""
        return {
            "generated_at": rfc3339(self._epoch_ms(now)),
            "silence": self.silence(now),
            "services": [self._view_of(self._services[name], now) for name in sorted(self._services)],
        }

    def _grant_grace(self, now: float) -> None:
        for service in self._services.values():
            service.deadline = max(service.deadline, now + self._window_s)
            for instance in service.instances.values():
                if instance.alive:
                    instance.deadline = now + instance.window_s

    def _move(self, service: _Service, state: State, reason: str, now: float) -> Change | None:
        service.reason = reason
        if state is not service.state:
            service.state = state
            # What was so before the aggregator's own start, and is so still, has been so all the time.
            restored = state is service.published and service.published_since
            service.since = service.published_since if restored else self._epoch_ms(now)
        if state in (State.UNKNOWN, service.published):
            return None
        previous, service.published, service.published_since = service.published, state, service.since
        alive = sum(instance.alive for instance in service.instances.values())
        return Change(service.name, previous, state, reason, alive, service.since)

    def _view_of(self, service: _Service, now: float) -> dict[str, Any]:
        return {
            "service": service.name,
            "state": service.state.value,
            "since": rfc3339(service.since),
            "reason": service.reason,
            "instances": [
                {
                    "instance": instance.name,
                    "alive": instance.alive,
                    "state": instance.state,
                    "reasons": dict(instance.reasons),
                    "version": instance.version,
                    "started_at": rfc3339(instance.started_at),
                    "last_beat_at": rfc3339(self._epoch_ms(instance.seen)),
                    "silent_s": round(now - instance.seen, 1),
                }
                for _name, instance in sorted(service.instances.items())
            ],
        }

    def _epoch_ms(self, now: float) -> int:
        return self._started_ms + round((now - self._started) * 1000)


def _verdict(service: _Service, now: float, *, flowing: bool) -> tuple[State, str]:
    alive = [instance for instance in service.instances.values() if instance.alive]
    if alive:
        unready = [
            f"{instance.name}: {check}: {reason}"
            for instance in alive
            if instance.state != "READY"
            for check, reason in (instance.reasons or {"readiness": "not ready"}).items()
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


def _cause(service: _Service, now: float) -> str:
    if not service.instances:
        return "no heartbeat since the aggregator started"
    latest = max(service.instances.values(), key=lambda instance: instance.seen)
    if latest.leaving:
        return f"stopped: {latest.name} said goodbye"
    return f"no heartbeat from {latest.name} for {now - latest.seen:.1f} s"
