"""The archive's layout and its manifests: which segment of a partition exists is decided by one conditional put.

    topics/<topic>/<incarnation>/schemas/<id>.avsc
    topics/<topic>/<incarnation>/data/date=2013-01-01/partition=0/<start>-<segment>-<schema id|raw>.avro
    topics/<topic>/<incarnation>/manifest/partition=0/<start>.json
    topics/<topic>/<incarnation>/compacted/partition=0/<start>.json       of segments made of others (compaction.py),
                                                                          and reservations (retention.py)
    topics/<topic>/<incarnation>/floor/partition=0/<offset>.json          what lies before is given up (retention.py)
    topics/<topic>/<incarnation>/known-gaps/partition=0/<start>-<next>.json   that these are missing, and why (gaps.py)
    topics/<topic>/<incarnation>/ends/partition=0/<read to>-<end>.json        how far it was read when deleted (ends.py)
    holds/<topic>/<name>.json                                             forbids giving anything up

`incarnation` is Kafka's id of the topic, new each time a topic of that name is made. `<start>`: an offset in 20 digits.
A segment begins where the one before ended, so two writers that go on from the same segment meet at the same manifest
key, and the first put wins, whatever the clocks said. A data object counts only when a manifest names it.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from datetime import UTC, datetime

import orjson

from atlas_archive.store import MissingObject, ObjectStore

VERSION = 1
ROOT = "topics/"
_LAST_OFFSET = 2**63 - 1
_PAGE = 1000
_DIGITS = 20
_TRIES = 5


class BadManifest(Exception):
    """An object at a manifest's key that does not read as one."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PartitionPath:
    """One partition of one incarnation of a topic, and the keys of what belongs to it."""

    topic: str
    incarnation: str
    partition: int

    @property
    def root(self) -> str:
        return incarnation_root(self.topic, self.incarnation)

    @property
    def manifests(self) -> str:
        return f"{self.root}manifest/partition={self.partition}/"

    def manifest(self, start_offset: int) -> str:
        return f"{self.manifests}{start_offset:020d}.json"

    @property
    def compacted(self) -> str:
        return f"{self.root}compacted/partition={self.partition}/"

    @property
    def floors(self) -> str:
        return f"{self.root}floor/partition={self.partition}/"

    def data(self, start_offset: int, timestamp_ms: int) -> str:
        """What the keys of a segment's data objects begin with; the date is that of the segment's first record."""
        return f"{self.root}data/date={_date(timestamp_ms)}/partition={self.partition}/{start_offset:020d}-"

    def compacted_data(self, start_offset: int, timestamp_ms: int) -> str:
        """The same for a compacted segment: apart from `data`, which writers sweep, and beside it for outside tools."""
        return f"{self.root}data/date={_date(timestamp_ms)}/partition={self.partition}/c{start_offset:020d}-"

    def schema(self, schema_id: int) -> str:
        return f"{self.root}schemas/{schema_id}.avsc"


def incarnation_root(topic: str, incarnation: str) -> str:
    return f"{ROOT}{topic}/{incarnation}/"


def _date(timestamp_ms: int) -> str:
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000, UTC).date().isoformat() if timestamp_ms >= 0 else "none"
    except (ValueError, OverflowError, OSError):
        return "none"


@dataclass(frozen=True, slots=True)
class DataObject:
    """One file of a segment; `schema_id` is None for the raw one, `size` in bytes."""

    key: str
    size: int
    sha256: str
    schema_id: int | None
    records: int
    first_offset: int
    last_offset: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """A segment: everything the topic held of [start_offset, next_offset) when it was read.

    Fewer `records` than offsets are normal (transaction markers, compaction). `log_start_offset` is where the log began
    when the segment was opened: offsets from `start_offset` up to it were gone before they could be archived.
    With `given_up` it is none: retention has reserved those offsets, and no compacted segment will stand for them.
    """

    topic: str
    incarnation: str
    partition: int
    start_offset: int
    next_offset: int
    records: int
    first_offset: int
    last_offset: int
    min_timestamp_ms: int
    max_timestamp_ms: int
    log_start_offset: int
    objects: tuple[DataObject, ...]
    segment: str
    writer: str
    written_at: str
    compacted: bool = False
    given_up: bool = False

    @property
    def path(self) -> PartitionPath:
        return PartitionPath(self.topic, self.incarnation, self.partition)

    @property
    def key(self) -> str:
        if self.compacted:
            return f"{self.path.compacted}{self.start_offset:020d}.json"
        return self.path.manifest(self.start_offset)

    @property
    def size(self) -> int:
        return sum(item.size for item in self.objects)

    def to_json(self) -> bytes:
        return orjson.dumps({"version": VERSION, **asdict(self)}, option=orjson.OPT_INDENT_2)


def read_manifest(key: str, data: bytes) -> Manifest:
    """Raises BadManifest, also when it describes another place than its key."""
    try:
        fields = orjson.loads(data)
        version = fields.pop("version")
        objects = tuple(DataObject(**item) for item in fields.pop("objects"))
        manifest = Manifest(**fields, objects=objects)
        _check_types(manifest)
        for item in objects:
            _check_types(item)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadManifest(key, f"does not read as a manifest: {error}") from error
    if version != VERSION:
        raise BadManifest(key, f"is of version {version}, not {VERSION}")
    if manifest.key != key:
        raise BadManifest(key, f"describes {manifest.key}")
    return manifest


def _check_types(part: Manifest | DataObject) -> None:
    for each in dataclass_fields(part):
        value, kinds = getattr(part, each.name), _TYPES[str(each.type)]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise TypeError(f"{each.name} is {value!r}")


_TYPES: dict[str, tuple[type, ...]] = {
    str(int): (int,),
    str(str): (str,),
    str(bool): (bool,),
    str(int | None): (int, type(None)),
    str(tuple[DataObject, ...]): (tuple,),
}


async def get_manifest(store: ObjectStore, key: str) -> Manifest:
    """Raises MissingObject, BadManifest."""
    return read_manifest(key, await store.get(key))


async def commit(store: ObjectStore, manifest: Manifest) -> Manifest:
    """Make the segment part of the archive and give the manifest that holds its place: ours, or the winner's.

    The winner is ours too when an earlier try of ours got there and only its answer was lost: compare `segment`.
    Every object that the manifest names must be stored before.
    """
    if await store.put_if_absent(manifest.key, manifest.to_json()):
        return manifest
    return await get_manifest(store, manifest.key)


async def last_manifest(store: ObjectStore, path: PartitionPath) -> Manifest | None:
    """The newest segment of a partition; None when it has none. Raises MissingObject, BadManifest."""
    for _ in range(_TRIES - 1):
        # Between listing and reading it others may go on, and compact what was the last one: the new one stays.
        with suppress(MissingObject):
            return await _last(store, path)
    return await _last(store, path)


async def _last(store: ObjectStore, path: PartitionPath) -> Manifest | None:
    """Listings go forward only, so the end is found by halving the offsets: 40 requests where there are millions."""
    keys = await _page(store, path, after=-1)
    if not keys:
        return None
    low, high = offset_of(keys[-1]), _LAST_OFFSET
    while len(keys) == _PAGE:
        middle = (low + high) // 2
        page = await _page(store, path, after=middle)
        if page:
            keys, low = page, offset_of(page[-1])
        elif high - low > _PAGE:
            high = middle
        else:
            keys = await _page(store, path, after=low) or keys[-1:]
    return await get_manifest(store, keys[-1])


async def _page(store: ObjectStore, path: PartitionPath, *, after: int) -> Sequence[str]:
    start_after = path.manifest(after) if after >= 0 else ""
    return [item.key async for item in store.list(path.manifests, start_after=start_after, limit=_PAGE)]


def offset_of(key: str) -> int:
    """The offset that a manifest's or a floor's key ends in. Raises BadManifest for another key."""
    text = key.rsplit("/", 1)[1].removesuffix(".json")
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise BadManifest(key, "no manifest has such a key")
    return int(text)


async def topics(store: ObjectStore) -> AsyncIterator[tuple[str, str]]:
    """Every (topic, incarnation) that has anything in the archive, by name; one short listing each."""
    after = ""
    while True:
        found = [item.key async for item in store.list(ROOT, start_after=after, limit=1)]
        if not found:
            return
        parts = found[0].split("/")
        if len(parts) < 4:
            after = found[0]
            continue
        yield parts[1], parts[2]
        after = incarnation_root(parts[1], parts[2]) + "~"
