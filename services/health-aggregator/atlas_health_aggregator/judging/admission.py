"""Which heartbeats are taken. Pure: a decoded value and the time go in, a Heartbeat comes out or OddHeartbeat.

Whoever may write to the topic can claim anything, so what a heartbeat can make the aggregator hold or show is bounded
here, field by field. What a live service may say in good faith (a long reason, a line break in it) is cut or cleaned
rather than refused: a service must not be called down for its words.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# As ServiceSettings.heartbeat_interval_s allows: a longer one would keep a dead instance alive for as long.
INTERVAL_MIN_MS = 100
INTERVAL_MAX_MS = 30_000
# Clocks differ, and a heartbeat may wait for a broker; nobody is a day off and means it.
CLOCK_TOLERANCE_MS = 86_400_000
# Becomes a label of a series and a key of events.
SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
INSTANCE_MAX_CHARS = 200
VERSION_MAX_CHARS = 100
REASONS_MAX = 8
CHECK_MAX_CHARS = 64
LOOPS_MAX = 32
REASON_MAX_CHARS = 300


class Oddity(StrEnum):
    """Why a heartbeat was set aside; a label of the metric."""

    UNDECODABLE = "undecodable"
    OTHER_EVENT = "other-event"
    NAME = "name"
    INTERVAL = "interval"
    TIME = "time"
    CROWDED = "crowded"  # as many other services, or instances of one, as there may be
    FAILED = "failed"  # it met an error of ours


class OddHeartbeat(Exception):
    """The heartbeat is not taken; the text names field, found and expected."""

    def __init__(self, oddity: Oddity, text: str) -> None:
        super().__init__(text)
        self.oddity = oddity


@dataclass(frozen=True, slots=True)
class LoopSaid:
    """What a loop said of itself; times in seconds, at the time of the heartbeat. See atlas_runtime.observing.loops."""

    name: str
    doing: str
    waits: bool
    since_s: float
    progress_s: float | None
    stuck: bool


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A heartbeat within bounds. Times are epoch milliseconds by the sender's clock."""

    service: str
    instance: str
    state: str
    reasons: Mapping[str, str]
    version: str
    started_at: int
    sent_at: int
    interval_ms: int
    environment: str = ""
    loops: tuple[LoopSaid, ...] = ()

    @property
    def leaving(self) -> bool:
        """It is the last one: the process stops."""
        return self.state == "STOPPING"


@dataclass(frozen=True, slots=True)
class Limits:
    """Whom to know: `known` services are never forgotten; of others at most `others` are shown, each for
    `forget_after_s` after its last heartbeat; of each service at most `instances`.
    """

    known: frozenset[str]
    others: int = 20
    instances: int = 50
    forget_after_s: float = 3600.0


def admitted(value: Mapping[str, Any], now_ms: int) -> Heartbeat:
    """The heartbeat of this decoded value, arrived at `now_ms`; raises OddHeartbeat."""
    service, instance, version = value["service"], value["instance"], value["version"]
    if not SERVICE_NAME.fullmatch(service):
        raise OddHeartbeat(Oddity.NAME, f"service: {_shown(service)}, expected 1 to 63 of A-Z a-z 0-9 . _ -")
    if not 0 < len(instance) <= INSTANCE_MAX_CHARS or not instance.isprintable():
        raise OddHeartbeat(
            Oddity.NAME, f"instance: {_shown(instance)}, expected 1 to {INSTANCE_MAX_CHARS} printable characters"
        )
    if not INTERVAL_MIN_MS <= value["interval_ms"] <= INTERVAL_MAX_MS:
        raise OddHeartbeat(
            Oddity.INTERVAL,
            f"interval_ms: {value['interval_ms']}, expected {INTERVAL_MIN_MS} to {INTERVAL_MAX_MS}",
        )
    if abs(value["sent_at"] - now_ms) > CLOCK_TOLERANCE_MS:
        raise OddHeartbeat(Oddity.TIME, f"sent_at: {value['sent_at']}, expected within a day of {now_ms}")
    if not 0 <= value["started_at"] <= now_ms + CLOCK_TOLERANCE_MS:
        raise OddHeartbeat(Oddity.TIME, f"started_at: {value['started_at']}, expected 0 to a day after {now_ms}")
    return Heartbeat(
        service=service,
        instance=instance,
        state=value["state"],
        reasons={
            cleaned(check, CHECK_MAX_CHARS): cleaned(reason, REASON_MAX_CHARS)
            for check, reason in sorted(value["reasons"].items())[:REASONS_MAX]
        },
        version=cleaned(version, VERSION_MAX_CHARS),
        started_at=value["started_at"],
        sent_at=value["sent_at"],
        interval_ms=value["interval_ms"],
        environment=cleaned(value.get("environment", ""), CHECK_MAX_CHARS),
        loops=tuple(_loop(each) for each in value.get("loops", ())[:LOOPS_MAX]),
    )


def _loop(said: Mapping[str, Any]) -> LoopSaid:
    progress_ms = said["progress_ms"]
    return LoopSaid(
        cleaned(said["name"], CHECK_MAX_CHARS),
        cleaned(said["doing"], REASON_MAX_CHARS),
        said["waits"],
        _seconds(said["since_ms"]),
        None if progress_ms is None else _seconds(progress_ms),
        said["stuck"],
    )


def _seconds(ms: int) -> float:
    return max(0, min(ms, CLOCK_TOLERANCE_MS * 365)) / 1000


def cleaned(text: str, most: int) -> str:
    """At most `most` characters of the text, each that is not printable as a space."""
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return cut if cut.isprintable() else "".join(each if each.isprintable() else " " for each in cut)


def _shown(name: str) -> str:
    return f"{name[:40]!r} of {len(name)} characters"
