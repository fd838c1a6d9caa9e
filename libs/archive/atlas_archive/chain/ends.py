"""How far a topic was read when it was deleted: of its last records nobody else can tell.

    topics/<topic>/<incarnation>/ends/partition=0/<read to>-<end>.json

An archiver puts a statement for each partition that it was reading. Where a partition of a topic that is gone has
none, no archiver was there, and what came after its archive's end can't be known.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import orjson

from atlas_archive.chain.manifests import BadManifest, PartitionPath, incarnation_root
from atlas_archive.store import ObjectStore

_FOLDER = "ends/"


@dataclass(frozen=True, slots=True)
class End:
    """What is not archived of a partition begins at `read_to` and goes to `end`: nothing, where they are equal.

    `end` is where the partition ended when the brokers last spoke of it; `stated_at` in RFC 3339.
    """

    partition: int
    read_to: int
    end: int
    writer: str
    stated_at: str


async def state_end(store: ObjectStore, path: PartitionPath, end: End) -> None:
    """Put the statement; one of the same offsets stays as it is."""
    name = f"{end.read_to:020d}-{end.end:020d}.json"
    key = f"{path.root}{_FOLDER}partition={path.partition}/{name}"
    await store.put_if_absent(key, orjson.dumps(asdict(end), option=orjson.OPT_INDENT_2))


async def ends(store: ObjectStore, topic: str, incarnation: str) -> Mapping[int, End]:
    """By partition, what the statements of all archivers come to. Raises BadManifest for one that does not read."""
    found: dict[int, End] = {}
    async for item in store.list(f"{incarnation_root(topic, incarnation)}{_FOLDER}"):
        try:
            fields = orjson.loads(await store.get(item.key))
            end = End(**fields)
            partition, read_to, until = int(end.partition), int(end.read_to), int(end.end)
        except (ValueError, TypeError) as error:
            raise BadManifest(item.key, f"does not read as a statement about an end: {error}") from error
        before = found.get(partition)
        if before is not None:
            read_to, until = max(read_to, before.read_to), max(until, before.end)
        found[partition] = End(partition, read_to, until, end.writer, end.stated_at)
    return found


@dataclass(frozen=True, slots=True)
class Hole:
    """That a partition of a topic which is gone is not archived from `start` on; up to `end`, None: it is not known."""

    partition: int
    start: int
    end: int | None

    def told(self, topic: str) -> str:
        """In a line."""
        if self.end is None:
            text = f"the topic was deleted while no archiver read it; what it had from offset {self.start} on, if"
            return f"{topic}/{self.partition}: {text} anything, is not archived"
        offsets = f"offsets {self.start} to {self.end - 1}"
        return f"{topic}/{self.partition}: {offsets} were on the topic when it was deleted, and are not archived"


def holes(stated: Mapping[int, End], archived: Mapping[int, int]) -> list[Hole]:
    """Of an incarnation that is gone; `archived`: by partition, where its archive ends.

    A statement that the archive has passed since was about a topic that only seemed to be gone: it says nothing.
    """
    found = []
    for partition in sorted({*stated, *archived}):
        reached, end = archived.get(partition, 0), stated.get(partition)
        if end is None or (end.end < reached and end.read_to < reached):
            found.append(Hole(partition, reached, None))
        elif max(reached, end.read_to) < end.end:
            found.append(Hole(partition, max(reached, end.read_to), end.end))
    return found
