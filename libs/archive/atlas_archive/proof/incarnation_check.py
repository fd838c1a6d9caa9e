"""The checks of one incarnation of one topic; `verify` runs it for each."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence

from atlas_archive.chain.chains import Chain, chains
from atlas_archive.chain.manifests import (
    BadManifest,
    DataObject,
    Manifest,
    PartitionPath,
    get_manifest,
    incarnation_root,
    offset_of,
)
from atlas_archive.format.container import CorruptFile, read_file
from atlas_archive.format.headers import EXACT
from atlas_archive.format.records import Incoming, Record
from atlas_archive.proof.gaps import KnownGap, complete_from, has_gap, known_gaps, name_ends
from atlas_archive.proof.reports import LiveTopic, Progress, TopicReader, TopicReport
from atlas_archive.store import MissingObject, ObjectStore

# The winner of a place removes the losers' files right after its manifest stands, which may be this very moment.
LOOKS = 50

_LOOK_S = 0.1
_PARALLEL = 4  # segments held in memory at once
_COUNTED = 10_000
# What is there of them and was not read has been put since.
_READ_BEFORE = ("manifest", "compacted", "floor", "known-gaps", "ends")
_PROBLEMS_NAMED = 20  # of one segment: a topic that differs in a million places is told in twenty lines


class IncarnationCheck:
    """One incarnation of one topic under verification."""

    def __init__(
        self,
        store: ObjectStore,
        report: TopicReport,
        incarnation: str,
        live: LiveTopic | None,
        reader: TopicReader | None,
        progress: Progress,
    ) -> None:
        self._store = store
        self._report = report
        self._incarnation = incarnation
        self._root = incarnation_root(report.topic, incarnation)
        self._live = live
        self._reader = reader
        self._progress = progress
        self._gate = asyncio.Semaphore(_PARALLEL)
        self._bad: dict[str, BadManifest] = {}
        self._gone: set[str] = set()
        self._known: list[KnownGap] = []

    async def run(self) -> None:
        """Add what is found to the report."""
        # The manifests are listed before the data: what an archiver adds meanwhile then lies past the known end.
        found = await chains(self._store, self._report.topic, self._incarnation, self._load)
        self._name_what_did_not_load(found)
        try:
            self._known = await known_gaps(self._store, self._report.topic, self._incarnation)
        except BadManifest as error:
            self._problem(str(error))
        counting = {partition: segments for partition, chain in found.items() if (segments := chain.segments)}
        async with asyncio.TaskGroup() as group:
            for partition, segments in counting.items():
                group.create_task(self._verify_chain(segments, found[partition].floor))
                if self._live is not None or self._reader is None:
                    self._report.complete_from[partition] = complete_from(segments)
        ends = {partition: segments[-1].next_offset for partition, segments in counting.items()}
        await self._find_strays(found, ends)
        if self._live is None:
            offline = self._reader is None
            await name_ends(self._store, self._report, self._incarnation, ends, self._known, offline=offline)
        for partition, (first, end) in (self._live.bounds if self._live else {}).items():
            covered = counting[partition][-1].next_offset if partition in counting else 0
            self._name_what_is_going(partition, covered if partition in counting else None, first)
            self._report.behind += await self._records_after(partition, max(first, covered), end)

    def _problem(self, text: str) -> None:
        self._report.problems.append(text)

    async def _load(self, key: str) -> Manifest | None:
        async with self._gate:
            try:
                return await get_manifest(self._store, key)
            except BadManifest as error:
                self._bad[key] = error
            except MissingObject:
                self._gone.add(key)
        return None

    def _name_what_did_not_load(self, found: Mapping[int, Chain]) -> None:
        """The manifests that do not read, and those that are gone without anything that stands for them."""
        for error in self._bad.values():
            self._problem(str(error))
        for key in sorted(self._gone):
            kind, partition, _ = key.removeprefix(self._root).split("/")
            chain = found.get(int(partition.removeprefix("partition=")), Chain())
            compacted = kind == "manifest" and chain.standing_for(offset_of(key)) is not None
            if not compacted and offset_of(key) >= chain.floor:
                self._problem(f"{key}: gone while it was verified")

    async def _verify_chain(self, chain: Sequence[Manifest], floor: int) -> None:
        self._check_ranges(chain, floor)
        for manifest in chain:
            async with self._gate:
                records = await self._read(manifest)
                if records is not None:
                    await self._compare(manifest, records)
            self._report.segments += 1
            self._report.bytes += manifest.size
            self._report.records += len(records) if records is not None else 0
            self._progress(self._report)

    def _check_ranges(self, chain: Sequence[Manifest], floor: int) -> None:
        expected = floor
        for manifest in chain:
            if manifest.start_offset > expected:
                self._problem(f"{manifest.key}: offsets {expected} to {manifest.start_offset - 1} have no manifest")
            elif manifest.start_offset < expected:
                self._problem(f"{manifest.key}: overlaps the segment before it, which ends at {expected - 1}")
            if has_gap(manifest):
                self._name_gap(manifest)
            expected = manifest.next_offset

    def _name_gap(self, manifest: Manifest) -> None:
        gone = f"offsets {manifest.start_offset} to {manifest.log_start_offset - 1}"
        text = f"{manifest.key}: {gone} were gone from the topic before they were archived"
        known = next((each for each in self._known if each.covers(manifest)), None)
        if known is not None:
            self._report.notes.append(f"{text}, which is known since {known.stated_at}: {known.reason}")
        else:
            self._problem(f"{text}; where that is meant, say so: atlas archive accept {manifest.topic}")

    def _name_what_is_going(self, partition: int, covered: int | None, first: int) -> None:
        """What lies between the archive's end and where the topic begins by now was not archived, nor will it be."""
        if first <= (covered or 0):
            return
        gone = f"{self._report.topic}/{partition}: offsets {covered or 0} to {first - 1} are gone from the topic"
        if covered is not None and first == covered + 1:
            # As the last of a transactional topic is, of which retention has removed all there was.
            self._report.notes.append(f"{gone}; if that one was no transaction's marker, a record is not archived")
        else:
            self._problem(f"{gone} and not archived")

    async def _read(self, manifest: Manifest) -> list[Record] | None:
        """The segment's records in order; None when an object is not as its manifest says."""
        records: list[Record] = []
        whole = True
        for item in manifest.objects:
            try:
                found = _records_of(item, await self._store.get(item.key))
            except MissingObject:
                self._problem(f"{item.key}: missing, named by {manifest.key}")
                whole = False
            except CorruptFile as error:
                self._problem(str(error))
                whole = False
            else:
                records += found
            # decoding holds the loop for long; others, such as the reader's heartbeat, get their turn
            await asyncio.sleep(0)
            if item.schema_id is not None:
                whole &= await self._check_schema(manifest.path, item)
        if not whole:
            return None
        records.sort(key=lambda record: record.offset)
        return records if self._check_counts(manifest, records) else None

    async def _check_schema(self, path: PartitionPath, item: DataObject) -> bool:
        key = path.schema(item.schema_id or 0)
        try:
            await self._store.get(key)
        except MissingObject:
            self._problem(f"{key}: missing, the schema of {item.key}")
            return False
        return True

    def _check_counts(self, manifest: Manifest, records: Sequence[Record]) -> bool:
        offsets = [record.offset for record in records]
        faults = []
        if len(offsets) != manifest.records:
            faults.append(f"{len(offsets)} records instead of {manifest.records}")
        if len(set(offsets)) != len(offsets):
            faults.append("an offset twice")
        if offsets and not manifest.start_offset <= offsets[0] <= offsets[-1] < manifest.next_offset:
            faults.append(f"offsets outside {manifest.start_offset} to {manifest.next_offset - 1}")
        for fault in faults:
            self._problem(f"{manifest.key}: its objects hold {fault}")
        return not faults

    async def _compare(self, manifest: Manifest, records: Sequence[Record]) -> None:
        if self._live is None or self._reader is None:
            return
        if manifest.partition not in self._live.bounds:
            self._problem(f"{manifest.key}: the topic has no partition {manifest.partition} to compare with")
            return
        start = max(manifest.start_offset, self._live.bounds[manifest.partition][0])
        archived = {record.offset: record for record in records if record.offset >= start}
        differences: list[str] = []
        equal = 0
        async for batch in self._reader.read(manifest.topic, manifest.partition, start, manifest.next_offset):
            for record in batch:
                ours = archived.pop(record.offset, None)
                difference = "is not in the archive" if ours is None else _difference(ours, record)
                if difference:
                    differences.append(f"offset {record.offset} {difference}")
                else:
                    equal += 1
        if archived and not self._live.compacted:
            # The log may have lost its head to retention since it was asked where it begins.
            now = await self._reader.describe(manifest.topic)
            first = now.bounds[manifest.partition][0] if now and manifest.partition in now.bounds else start
            differences += [f"offset {offset} is not in the topic" for offset in archived if offset >= first]
        self._report.compared_with_topic += equal
        for text in differences[:_PROBLEMS_NAMED]:
            self._problem(f"{manifest.key}: {text}")
        if len(differences) > _PROBLEMS_NAMED:
            self._problem(f"{manifest.key}: {len(differences) - _PROBLEMS_NAMED} more records differ from the topic")

    async def _records_after(self, partition: int, start: int, end: int) -> int:
        """How many records the topic holds past the archive's end; of very many, how many offsets that is.

        They are counted because the last offsets of a transactional topic are markers, which nobody archives.
        """
        if self._reader is None or end - start > _COUNTED:
            return max(0, end - start)
        return sum([len(batch) async for batch in self._reader.read(self._report.topic, partition, start, end)])

    async def _find_strays(self, found: Mapping[int, Chain], ends: Mapping[int, int]) -> None:
        """Name the objects that no manifest names. Past a partition's end they are a segment in the making."""
        all_of = [manifest for chain in found.values() for manifest in (*chain.written, *chain.compacted)]
        known = {item.key for manifest in all_of for item in manifest.objects}
        strays: list[str] = []
        async for item in self._store.list(self._root):
            kind = item.key.removeprefix(self._root).split("/", 1)[0]
            if item.key in known or kind in _READ_BEFORE:
                continue
            if kind == "schemas" and item.key.endswith(".avsc"):
                continue
            place = _place(item.key.removeprefix(self._root))
            if place is not None and place[1] >= ends.get(place[0], 0):
                self._report.notes.append(f"{item.key}: of a segment that is not committed")
                continue
            strays.append(item.key)
        for _ in range(LOOKS):
            strays = [key for key in strays if await self._is_there(key)]
            if not strays:
                break
            await asyncio.sleep(_LOOK_S)
        for key in strays:
            self._problem(f"{key}: extra, no manifest names it")

    async def _is_there(self, key: str) -> bool:
        return any([item.key == key async for item in self._store.list(key, limit=1)])


def _place(relative: str) -> tuple[int, int] | None:
    """The partition and start offset that a data object's key speaks of; None when it speaks of none."""
    parts = relative.split("/")
    if parts[0] != "data" or len(parts) != 4 or not parts[2].startswith("partition="):
        return None
    partition, start = parts[-2].removeprefix("partition="), parts[-1].removeprefix("c")[:20]
    return (int(partition), int(start)) if partition.isdigit() and start.isdigit() and len(start) == 20 else None


def _records_of(item: DataObject, data: bytes) -> list[Record]:
    """The object's records. Raises CorruptFile: where the bytes are not those written, with the block if it shows."""
    found = hashlib.sha256(data).hexdigest()
    file = read_file(data, item.key)
    records = [record for block in file.blocks(EXACT) for record in block]
    if len(data) != item.size:
        raise CorruptFile(item.key, f"{len(data)} bytes instead of {item.size}")
    if found != item.sha256:
        raise CorruptFile(item.key, "its bytes are not those that were written (sha256)")
    if len(records) != item.records or file.schema_id != item.schema_id:
        raise CorruptFile(item.key, f"{len(records)} records of schema {file.schema_id}, not as its manifest says")
    return records


def _difference(ours: Record, theirs: Incoming) -> str:
    if ours.value != theirs.value:
        return "differs from the topic in its value"
    if ours.key != theirs.key:
        return "differs from the topic in its key"
    if ours.timestamp != theirs.timestamp:
        return "differs from the topic in its timestamp"
    if ours.headers != tuple(theirs.headers):
        return "differs from the topic in its headers"
    return ""
