"""Who is alive: heartbeats in a sliding window, judged. Pure: time comes in as an argument.

A service is
    UP        every living instance says it is ready
    DEGRADED  a living instance says that it is not, or that one of its loops is stuck
    DOWN      no instance is alive: each said goodbye, or was silent for `down_after_intervals` of its own intervals
    UNKNOWN   known from before the aggregator's own start, not heard since, and its time is not up yet

Silence proves death only while heartbeats arrive at all. The aggregator's own takes everybody's way, so a gap in *all*
of them means that the way is broken (Kafka is away, or a flood of others' records lies before them; what is not
believed does not count): nobody is judged during it, and after it everyone who
was alive has the full window again.

One heartbeat proves little, for anybody may have written it. The first instance of a known service is believed at
once; any other instance, and any service that is not known, only when it is heard again half an interval later. Until
then it is a candidate: not shown, and no sign that its service lives.
"""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from atlas_contracts.values.timestamps import rfc3339

from atlas_health_aggregator.judging.admission import (
    CLOCK_TOLERANCE_MS,
    SERVICE_NAME,
    Heartbeat,
    Limits,
    OddHeartbeat,
    Oddity,
)
from atlas_health_aggregator.judging.candidates import Candidates
from atlas_health_aggregator.judging.services import Change, Instance, Service, State, verdict

__all__ = ["Change", "Mesh", "State"]

# All heartbeats late by more than this is a gap. Below two intervals, so that it shows before anyone's window ends.
GAP_INTERVALS = 1.75
# An instance that is gone stays in the view for this long, then only its service does.
FORGET_AFTER_S = 300.0
# A heartbeat may be overtaken by its own process' goodbye. For no longer than this, or a goodbye of tomorrow would
# shut a service up until then.
GOODBYE_HOLDS_S = 5.0
# How long one heartbeat alone is proof, in its own intervals: the second one is due by then.
FIRST_WINDOW_INTERVALS = 1.5


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
        self._services: dict[str, Service] = {}
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
            self._services[change.service] = Service(
                change.service,
                deadline=self._started + self._window_s,
                published=change.current,
                published_since=change.changed_at if sane else 0,
                since=self._started_ms,
                heard=self._started,
            )

    def adopt(self, last: Iterable[Change]) -> None:
        """What was told last, by whichever aggregator: from now on only what differs from it is told."""
        told = {change.service: change for change in last}
        for name, service in self._services.items():
            change = told.get(name)
            service.published = State.UNKNOWN if change is None else change.current
            service.published_since = 0 if change is None else change.changed_at

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
        service.instances[heartbeat.instance] = Instance(
            name=heartbeat.instance,
            state=heartbeat.state,
            reasons=heartbeat.reasons,
            version=heartbeat.version,
            environment=heartbeat.environment,
            loops=heartbeat.loops,
            started_at=heartbeat.started_at,
            sent_at=heartbeat.sent_at,
            seen=now,
            window_s=window_s,
            deadline=now + window_s,
        )

    def _new_service(self, name: str, now: float) -> Service:
        if name not in self._limits.known and self._others() >= self._limits.others:
            raise OddHeartbeat(
                Oddity.CROWDED,
                f"service: {name} is not known, and {self._limits.others} others are shown already;"
                " ATLAS_HEALTH_SERVICES names the known ones",
            )
        return self._services.setdefault(name, Service(name, deadline=now, since=self._epoch_ms(now)))

    def _make_room(self, service: Service) -> None:
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
            state, reason = verdict(service, now, flowing=flowing)
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

    def _move(self, service: Service, state: State, reason: str, now: float) -> Change | None:
        service.reason = reason
        if state is not service.state:
            service.state = state
            # What was so before the aggregator's own start, and is so still, has been so all the time.
            restored = state is service.published and service.published_since
            service.since = service.published_since if restored else self._epoch_ms(now)
            service.changes.append(now)
        if state in (State.UNKNOWN, service.published) or service.flaps(now):
            return None
        previous, service.published, service.published_since = service.published, state, service.since
        alive = sum(instance.alive for instance in service.instances.values())
        return Change(service.name, previous, state, reason, alive, service.since)

    def _view_of(self, service: Service, now: float) -> dict[str, Any]:
        return {
            "service": service.name,
            "state": service.state.value,
            "since": rfc3339(service.since),
            "reason": service.reason,
            "flapping": service.flaps(now),
            "instances": [
                {
                    "instance": instance.name,
                    "alive": instance.alive,
                    "state": instance.state,
                    "reasons": dict(instance.reasons),
                    "version": instance.version,
                    "environment": instance.environment,
                    "loops": [asdict(loop) for loop in instance.loops],
                    "started_at": rfc3339(instance.started_at),
                    "last_beat_at": rfc3339(self._epoch_ms(instance.seen)),
                    "silent_s": round(now - instance.seen, 1),
                }
                for _name, instance in sorted(service.instances.items())
            ],
        }

    def _epoch_ms(self, now: float) -> int:
        return self._started_ms + round((now - self._started) * 1000)
