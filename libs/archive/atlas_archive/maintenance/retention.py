"""Gives up old segments on purpose, unless a hold forbids it.

A partition's floor says where its archive begins; it only rises. Data below it is removed after a grace time.

Compactors may be at work on what is to go. So the floor lies where an element of the compacted chain ends: behind that
chain's end retention first puts an element of its own, a reservation, and of a compactor and a retention one gets the
place. A compacted segment that lies across the floor can't come about.
"""

import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from atlas_archive.chain.chains import Chain, append, chain_of, floor_of
from atlas_archive.chain.manifests import Manifest, PartitionPath
from atlas_archive.maintenance.compaction import sweep
from atlas_archive.maintenance.holds import UnderHold, holds
from atlas_archive.store import MissingObject, ObjectStore

_TRIES = 5


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

    May run beside archivers, readers, compaction and itself. Less is given up than could be where another one's
    reservation reaches further, until all that is reserved is old.
    1. Look for holds. 2. Where the floor is to lie behind the compacted chain, reserve what is in between; if another
    one has the place, decide anew. 3. Raise the floor: from here on those segments do not count. 4. Look for holds once
    more: one placed meanwhile may count on what 3 gave up, so the floor is taken back (`grace_s` must outlast that).
    5. Remove what has been below the floor for `grace_s`. Raises UnderHold.
    """
    chain = await chain_of(store, path)
    gone = _oldest(chain, before_ms)
    if dry_run:
        return gone
    await _refuse_under_hold(store, path.topic)  # 1
    for _ in range(_TRIES):
        if gone.floor <= chain.end or await _reserve(store, path, chain.end, gone.floor):  # 2
            break
        chain = await chain_of(store, path)
        gone = _oldest(chain, before_ms)
    else:
        gone = _oldest(chain, before_ms, chain.end)
    if gone.segments:
        await _raise_floor(store, path, gone.floor)  # 3, 4
    gone.removed = await sweep(store, path, grace_s=grace_s)  # 5
    return gone


def _oldest(chain: Chain, before_ms: int, upto: int | None = None) -> Expired:
    """What can be given up: whole segments, and of those in a reservation all or none."""
    reserved = [element for element in chain.elements if element.given_up]
    seen = Expired(floor=chain.floor)
    gone = Expired(floor=chain.floor)
    for segment in chain.segments:
        if segment.max_timestamp_ms >= before_ms or (upto is not None and segment.next_offset > upto):
            break
        seen.segments += 1
        seen.records += segment.records
        if not any(element.start_offset < segment.next_offset < element.next_offset for element in reserved):
            gone = Expired(seen.segments, seen.records, segment.next_offset)
    return gone


async def _reserve(store: ObjectStore, path: PartitionPath, start: int, end: int) -> bool:
    """Put a reservation at the end of the compacted chain; False when it has none there: a stray one is swept."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    ours = Manifest(
        *(path.topic, path.incarnation, path.partition, start, end, 0),
        *(-1, -1, -1, -1, 0),
        objects=(),
        segment=uuid.uuid4().hex,
        writer="retention",
        written_at=now,
        compacted=True,
        given_up=True,
    )
    return await append(store, ours) and await floor_of(store, path) <= start


async def _raise_floor(store: ObjectStore, path: PartitionPath, floor: int) -> None:
    """Raises UnderHold; then only a floor that is ours is taken back: another one's may have been swept up to."""
    key = f"{path.floors}{floor:020d}.json"
    placed = datetime.now(UTC).isoformat(timespec="microseconds").encode()
    await store.put_if_absent(key, placed)
    try:
        await _refuse_under_hold(store, path.topic)
    except UnderHold:
        with suppress(MissingObject):
            if await store.get(key) == placed:  # and not what the put said: its answer may have been lost
                await store.delete(key)
        raise


async def _refuse_under_hold(store: ObjectStore, topic: str) -> None:
    for hold in await holds(store, topic):
        raise UnderHold(topic, hold)
