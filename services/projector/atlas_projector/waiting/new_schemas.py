"""Schemas that came after this process started: records of theirs wait, and go on once the folder has them.

A record whose schema id is not known is set aside like any other that can't be read, so it holds up its own key alone.
While records wait, the folder is looked at again; when it has the id, those records are handled as if nothing had been.
So services may be started again in any order after a new schema.
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import structlog
from atlas_contracts.codec import Codec
from atlas_contracts.errors import BrokenSchemas
from atlas_contracts.folder import LOCK, files_named
from atlas_contracts.registry import Registry
from atlas_readmodel.waiting.parking import Parked, Place

log = structlog.get_logger(__name__)

# What the reason of a record begins with that was set aside because its schema id was not known.
UNKNOWN_ID = "schema id "
# A file's status is asked for; the folder is read only when it has changed.
LOOK_EVERY_S = 2.0
# Records asked for at once.
RETRIED_MAX = 10_000

_Stamp = tuple[tuple[int, int], ...]  # of each lock


class Schemas:
    """The codec of the folder as it was read last; shared by the projections of a process."""

    def __init__(self, directory: Path, registry: Registry, codec: Codec) -> None:
        self.codec = codec
        self._directory = directory
        self._registry = registry
        self._stamp = self._look()
        self._reading = asyncio.Lock()

    async def refresh(self) -> Codec:
        """Read the folder again if it has changed. One that can't be trusted is left until it changes again."""
        async with self._reading:
            if (stamp := self._look()) == self._stamp:
                return self.codec
            self._stamp = stamp
            try:
                self._registry, self.codec = await asyncio.to_thread(self._read)
            except BrokenSchemas as error:
                log.error("schemas not read again", directory=str(self._directory), error=str(error))
            else:
                log.info("schemas read again", directory=str(self._directory), ids=len(self._registry.schemas))
            return self.codec

    def known_now(self, waiting: Iterable[Parked]) -> list[Place]:
        """The places of records that were set aside for a schema id that is known now."""
        return [
            record.place
            for record in waiting
            if (record.error or "").startswith(UNKNOWN_ID)
            and record.request is None
            and Codec.schema_id(record.value) in self._registry.schemas
        ]

    def _read(self) -> tuple[Registry, Codec]:
        registry = Registry.load(self._directory)
        return registry, Codec(registry)

    def _look(self) -> _Stamp | None:
        try:
            stats = [(self._directory / file).stat() for file in files_named(self._directory, LOCK)]
        except OSError:
            return None
        return tuple((status.st_mtime_ns, status.st_size) for status in stats)
