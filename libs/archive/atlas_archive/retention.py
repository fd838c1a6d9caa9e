"""Gives up old segments on purpose, unless a hold forbids it.

A partition's floor says where its archive begins; it only rises. Data below it is removed after a grace time.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from atlas_archive.chains import chain_of
from atlas_archive.compaction import sweep
from atlas_archive.manifests import PartitionPath
from atlas_archive.store import ObjectStore

HOLDS = "holds/"


class UnderHold(Exception):
    """A hold forbids to give anything of the topic up."""

    def __init__(self, topic: str, hold: "Hold") -> None:
        super().__init__(f"{topic} is under hold {hold.name}, placed {hold.placed_at}: {hold.reason}")
        self.hold = hold


@dataclass(frozen=True, slots=True)
class Hold:
    """Why nothing of a topic, in any incarnation, may be given up; `placed_at` in RFC 3339."""

    topic: str
    name: str
    reason: str
    placed_at: str

    @property
    def key(self) -> str:
        return f"{HOLDS}{self.topic}/{self.name}.json"


async def holds(store: ObjectStore, topic: str | None = None) -> list[Hold]:
    """The holds on a topic, or all, by topic and name."""
    found = []
    async for item in store.list(HOLDS if topic is None else f"{HOLDS}{topic}/"):
        found.append(Hold(**orjson.loads(await store.get(item.key))))  # noqa: PERF401 - each is asked for in turn
    return found


async def place_hold(store: ObjectStore, topic: str, name: str, reason: str) -> Hold | None:
    """Place a hold; None when the topic has one of that name."""
    hold = Hold(topic, name, reason, datetime.now(UTC).isoformat(timespec="seconds"))
    fields = {"topic": hold.topic, "name": hold.name, "reason": hold.reason, "placed_at": hold.placed_at}
    return hold if await store.put_if_absent(hold.key, orjson.dumps(fields)) else None


async def release_hold(store: ObjectStore, topic: str, name: str) -> bool:
    """Take a hold away; False when there is none of that name."""
    found = any(hold.name == name for hold in await holds(store, topic))
    if found:
        await store.delete(Hold(topic, name, "", "").key)
    return found


@dataclass(slots=True)
class Expired:
    """What was given up of one partition: segments and records; `floor` is where its archive begins now."""

    segments: int = 0
    records: int = 0
    floor: int = 0
    removed: int = 0


async def expire(
    store: ObjectStore, path: PartitionPath, *, before_ms: int, grace_s: float, dry_run: bool = False
) -> Expired:
    """Give up the segments at a partition's beginning whose every record is older than `before_ms`.

    1. Look for holds. 2. Raise the floor: from here on those segments do not count. 3. Look for holds once more: one
    placed meanwhile may count on what 2 gave up, so the floor is taken back. 4. Remove what has been below the floor
    for `grace_s`. Raises UnderHold.
    """
    chain = await chain_of(store, path)
    gone = Expired(floor=chain.floor)
    for segment in chain.segments:
        if segment.max_timestamp_ms >= before_ms:
            break
        gone.segments += 1
        gone.records += segment.records
        gone.floor = segment.next_offset
    if dry_run:
        return gone
    await _refuse_under_hold(store, path.topic)  # 1
    if gone.segments:
        key = f"{path.floors}{gone.floor:020d}.json"
        await store.put(key, [datetime.now(UTC).isoformat(timespec="milliseconds").encode()])  # 2
        try:
            await _refuse_under_hold(store, path.topic)  # 3
        except UnderHold:
            await store.delete(key)
            raise
    gone.removed = await sweep(store, path, grace_s=grace_s)  # 4
    return gone


async def _refuse_under_hold(store: ObjectStore, topic: str) -> None:
    for hold in await holds(store, topic):
        raise UnderHold(topic, hold)
