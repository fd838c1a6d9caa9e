"""Who archives a partition, from where, and over which records processes died.

    readers/<topic>/<incarnation>/partition=0.json

The note is there while somebody archives the partition, and is removed by whoever ends in order. It is no part of the
archive: without it nothing is lost but the memory of deaths.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict, dataclass

import orjson

from atlas_archive.chain.manifests import PartitionPath
from atlas_archive.store import MissingObject, ObjectStore

_ROOT = "readers/"
_KINDS = (str, int, int, int, int, int, int, bool)


@dataclass(frozen=True, slots=True)
class Reader:
    """`name` archives the partition since it was at `began_at`, where `deaths` processes before it died.

    [trying, until) is what a process is `looking` into, or the last was, of so many `batches`; -1: nothing. `tries`
    processes in a row died meanwhile.
    """

    name: str
    began_at: int
    deaths: int = 0
    trying: int = -1
    until: int = -1
    batches: int = 0
    tries: int = 0
    looking: bool = False


def _key(path: PartitionPath) -> str:
    return f"{_ROOT}{path.topic}/{path.incarnation}/partition={path.partition}.json"


async def reader_of(store: ObjectStore, path: PartitionPath) -> Reader | None:
    """Who archives it, or died doing so; None also for a note that does not read."""
    with suppress(MissingObject, ValueError, TypeError):
        reader = Reader(**orjson.loads(await store.get(_key(path))))
        if all(isinstance(value, kind) for value, kind in zip(asdict(reader).values(), _KINDS, strict=True)):
            return reader
    return None


async def note_reader(store: ObjectStore, path: PartitionPath, reader: Reader) -> None:
    """From now on this stands."""
    await store.put(_key(path), [orjson.dumps(asdict(reader))])


async def forget_reader(store: ObjectStore, path: PartitionPath) -> None:
    """Nobody archives it, and nobody died of it."""
    await store.delete(_key(path))


async def forget_deaths(store: ObjectStore, topic: str) -> AsyncIterator[str]:
    """Forget the deaths over a topic's records, so that they are looked into again; gives the keys of the notes."""
    for key in [item.key async for item in store.list(f"{_ROOT}{topic}/")]:
        await store.delete(key)
        yield key
