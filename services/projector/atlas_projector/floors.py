"""Keeping the readers' cache honest: no row from before a write may be put back after it."""

from collections.abc import Mapping

from atlas_projection.change import Key
from atlas_projection.projection import Projection, Row
from atlas_readmodel.cache import Cache
from atlas_readmodel.columns.json_rows import plain
from atlas_readmodel.store import Store
from atlas_readmodel.table import OFFSET_COLUMN


class Floors:
    """Lays a floor under every row about to be written; see atlas_readmodel.cache.

    Rows are written whether Redis is there or not. Floors that could not be laid are made up for as soon as it is back:
    the epoch rises, and everything cached before counts no more. A new process begins with that, as the one before
    it may have died in between.
    """

    def __init__(self, projection: Projection, cache: Cache, store: Store) -> None:
        self._projection = projection
        self._cache = cache
        self._store = store
        self.missed = projection.cached

    async def lay(self, rows: Mapping[Key, Row | None], last_offset: int) -> None:
        """Bar older rows of these keys from the cache; before the transaction that writes them commits."""
        if not self._projection.cached:
            return
        offsets = {str(plain(key[0])): last_offset if row is None else row[OFFSET_COLUMN] for key, row in rows.items()}
        if not await self._cache.lay_floors(self._projection.name, offsets):
            self.missed = True
        else:
            await self.mend()

    async def mend(self) -> None:
        """If floors were missed and Redis is back: outdate all that is cached."""
        if not self.missed:
            return
        epoch = await self._store.raise_epoch()
        self.missed = not await self._cache.raise_epoch(self._projection.name, epoch)

    async def outdate(self) -> None:
        """All that is cached counts no more: offsets begin anew, so what was cached seems newer than what comes."""
        self.missed = self._projection.cached
        await self.mend()

    async def swapped(self, epoch: int) -> None:
        """Readers see another generation, since `epoch`."""
        if self._projection.cached and not await self._cache.raise_epoch(self._projection.name, epoch):
            self.missed = True
