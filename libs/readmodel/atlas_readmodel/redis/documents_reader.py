"""What queries read of documents in Redis: the live generation, which is found and read in one step.

So a swap falls between two reads and never into one.
"""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from atlas_readmodel.documents import field_of, root, shown
from atlas_readmodel.redis import documents_scripts as scripts
from atlas_readmodel.redis.documents_writer import positions_of


class DocumentsReader:
    """Rows as the projection's functions made them. Answers None while the read model does not exist, and raises
    Redis' error when it is away.
    """

    def __init__(self, redis: Redis, *, namespace: str = "atlas") -> None:
        self._redis = redis
        self._namespace = namespace
        self._read = redis.register_script(scripts.READ)
        self._positions = redis.register_script(scripts.POSITIONS)

    async def rows(self, projection: str, *keys: Sequence[Any]) -> list[dict[str, Any]] | None:
        """The rows of these keys, without a key all of them, as they were at one moment and in no order."""
        found = await self._read(keys=[root(self._namespace, projection)], args=[field_of(key) for key in keys])
        return None if found is None else [shown(row) for row in found if row is not None]

    async def positions(self, projection: str) -> dict[tuple[str, int], int] | None:
        """The next offset of every (topic, partition)."""
        found = await self._positions(keys=[root(self._namespace, projection)], args=[])
        return None if found is None else positions_of(dict(zip(found[::2], found[1::2], strict=True)))
