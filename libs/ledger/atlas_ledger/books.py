"""What the archive says of each partition, read from its manifests; of those that were read before only what is new."""

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from atlas_archive.chain.chains import chain_of
from atlas_archive.chain.manifests import Manifest, PartitionPath, get_manifest
from atlas_archive.proof.gaps import known_gaps
from atlas_archive.store import MissingObject, ObjectStore

from atlas_ledger.tally import Archived, Segment

# Of a partition: each is read once. With more, what is archived is known by its end alone.
MANIFESTS_MAX = 20_000
# Compaction, retention and whoever takes away a manifest are seen this late; the archive's own proof is `verify`.
WHOLE_EVERY_S = 3600.0


class TooManySegments(Exception):
    """They are not counted: `atlas archive compact` makes fewer of them."""


@dataclass(slots=True)
class _Book:
    segments: list[Segment]
    floor: int
    last: int  # where the last written segment begins; -1: there is none
    read_at: float


@dataclass(slots=True)
class Books:
    """Keeps what was read of each partition; what it gives is as of the last `read`."""

    store: ObjectStore
    whole_every_s: float = WHOLE_EVERY_S
    manifests_max: int = MANIFESTS_MAX
    _books: dict[PartitionPath, _Book] = field(default_factory=dict)

    async def read(self, path: PartitionPath) -> Archived:
        """The partition's archive now. Raises BadManifest, TooManySegments, what the store raises."""
        book = self._books.get(path)
        if book is None or time.monotonic() - book.read_at > self.whole_every_s:
            book = self._books[path] = await self._whole(path)
        else:
            await self._go_on(path, book)
        found = Archived(tuple(book.segments), book.floor)
        if not found.lacks():
            return found
        known = await known_gaps(self.store, path.topic, path.incarnation)
        accepted = [(gap.start_offset, gap.next_offset) for gap in known if gap.partition == path.partition]
        return Archived(found.segments, found.floor, accepted)

    def forget_others(self, paths: Iterable[PartitionPath]) -> None:
        """Keep only what was read of these."""
        kept = set(paths)
        self._books = {path: book for path, book in self._books.items() if path in kept}

    async def _whole(self, path: PartitionPath) -> _Book:
        limit = self.manifests_max + 1
        count = len([item.key async for item in self.store.list(path.manifests, limit=limit)])
        if count > self.manifests_max:
            raise TooManySegments(f"it has more than {self.manifests_max} segments")
        chain = await chain_of(self.store, path)
        # Of the written ones the last is kept, whatever has been compacted or given up.
        last = max((each.start_offset for each in chain.written), default=-1)
        return _Book([_segment(each) for each in chain.segments], chain.floor, last, time.monotonic())

    async def _go_on(self, path: PartitionPath, book: _Book) -> None:
        after = path.manifest(book.last) if book.last >= 0 else ""
        for key in [item.key async for item in self.store.list(path.manifests, start_after=after)]:
            with suppress(MissingObject):  # compacted since it was listed: seen with the next whole reading
                manifest = await get_manifest(self.store, key)
                book.segments.append(_segment(manifest))
                book.last = manifest.start_offset


def _segment(manifest: Manifest) -> Segment:
    return Segment(manifest.start_offset, manifest.log_start_offset, manifest.next_offset, manifest.records)
