"""Getting past records that end the process, whatever it dies of: their partition is paused, all others go on.

Nothing is noted of records before they are looked into, for that would cost a round trip each time. But where the
process before this one died without getting on, what is looked into is marked, and stored before anything else: first
all that was fetched at once, then, where a process dies over that, each batch alone. One that was looked into alone at
so many deaths is not looked into any more.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import structlog
from aiokafka import TopicPartition
from atlas_archive.chain.deaths import Reader, forget_reader, note_reader, reader_of
from atlas_archive.chain.manifests import PartitionPath
from atlas_archive.store import ObjectStore
from atlas_archive.writing.batches import Batch
from atlas_errors.policy import Fate, describe, fate_of

from atlas_archiver.partition import DiedOver

log = structlog.get_logger(__name__)

# As far as a process may have been ahead of its archive: what it held, and what it had fetched.
MARKED_OFFSETS = 1_000_000
# With the death that led to marks, and the one that led to this batch, the fourth.
DEATHS_ALONE = 2
# From so many deaths on at one place it is said aloud.
REPORTED_FROM = 3


@dataclass(slots=True)
class _Care:
    """One partition: marks are made up to `until`, and each batch is taken alone up to `alone_until`."""

    path: PartitionPath
    note: Reader
    until: int = 0
    alone_until: int = 0


class CrashGuard:
    """Marks batches before they are looked into, where there is reason to."""

    def __init__(self, store: ObjectStore, reader: str) -> None:
        self._store = store
        self._reader = reader
        self._cares: dict[TopicPartition, _Care] = {}
        self._holds = False

    async def begin(self, path: PartitionPath, tp: TopicPartition, at: int) -> None:
        """Go on with this partition from `at`. Raises DiedOver where that is not to be looked into."""
        before = await reader_of(self._store, path)
        care = self._cares[tp] = _Care(path, Reader(self._reader, at))
        if before is not None:
            self._learn(care, tp, before)
        note = care.note
        if note != before:
            await note_reader(self._store, path, note)
        if note.batches == 1 and note.tries >= DEATHS_ALONE:
            raise DiedOver(note.trying, max(note.deaths, note.tries))

    def _learn(self, care: _Care, tp: TopicPartition, before: Reader) -> None:
        ours, at = before.name == self._reader, care.note.began_at
        deaths = 0 if before.began_at != at else before.deaths + (not ours)
        care.note = replace(care.note, deaths=deaths)
        if at <= before.trying:
            tries = before.tries + (before.looking and not ours)
            again = replace(before, name=self._reader, began_at=at, deaths=deaths)
            care.note = replace(again, tries=tries, looking=False)
            care.alone_until = before.until
        if deaths or at <= before.trying:
            care.until = max(at + MARKED_OFFSETS, care.alone_until)
        if deaths and not ours:
            say = log.error if deaths >= REPORTED_FROM else log.warning
            say("the process before died here", topic=tp.topic, partition=tp.partition, offset=at, deaths=deaths)

    def covers(self, tp: TopicPartition, offset: int) -> bool:
        """Whether batches are to be marked from there on."""
        return tp in self._cares and offset < self._cares[tp].until

    def parts(self, tp: TopicPartition, batches: Sequence[Batch]) -> Iterator[Sequence[Batch]]:
        """The batches as they are to be taken: each alone up to where that is needed, then all."""
        alone_until = self._cares[tp].alone_until
        alone = sum(batch.start_offset < alone_until for batch in batches)
        yield from ([batch] for batch in batches[:alone])
        if batches[alone:]:
            yield batches[alone:]

    async def mark(self, tp: TopicPartition, batches: Sequence[Batch]) -> None:
        """They are about to be looked into, and nothing else."""
        care, first, until = self._cares[tp], batches[0].start_offset, batches[-1].offset + 1
        known = care.note.trying == first and care.note.batches == len(batches) == 1
        tries = care.note.tries if known else 0
        care.note = replace(care.note, trying=first, until=until, batches=len(batches), tries=tries, looking=True)
        await note_reader(self._store, care.path, care.note)

    def hold(self) -> None:
        """This process ends, and not in order: its notes are to stay."""
        self._holds = True

    async def let_go(self, partitions: Collection[TopicPartition]) -> None:
        """Others archive these from now on, or nobody. What is not to be looked into stays noted."""
        for tp in partitions:
            care = self._cares.pop(tp, None)
            if care is None or self._holds:
                continue
            try:
                if care.note.tries:
                    await note_reader(self._store, care.path, replace(care.note, began_at=-1, deaths=0, looking=False))
                else:
                    await forget_reader(self._store, care.path)
            except Exception as error:
                if fate_of(error) is not Fate.TRANSIENT:
                    raise
                log.warning("could not note that it was let go", partition=str(tp), error=describe(error))
