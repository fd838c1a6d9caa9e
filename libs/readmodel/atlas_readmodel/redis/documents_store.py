"""A read model in Redis: generations of documents, and one field of a hash that says which of them readers see."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from atlas_readmodel.documents import DocumentModel, root
from atlas_readmodel.postgres.comparison import Comparison
from atlas_readmodel.postgres.generations import Generation, NoSuchGeneration, NotCaughtUp
from atlas_readmodel.redis import documents_parking as kept
from atlas_readmodel.redis import documents_scripts as scripts
from atlas_readmodel.redis.documents_writer import DocumentsWriter, now_ms
from atlas_readmodel.store import HOLD_MAX_S, Busy, Level, Unsuitable, Waiting
from atlas_readmodel.waiting.parking import Decision, Parked, Place, Ruling

# Rows fetched at once by a comparison: some hundred KB.
COMPARED_AT_ONCE = 1000
# Longer than a holder may take, so that what it ends by is its own time-out.
HOLD_MS = int(HOLD_MAX_S * 1000) + 2000


class DocumentsStore:
    """See Store."""

    def __init__(self, redis: Redis, model: DocumentModel, *, namespace: str) -> None:
        self._redis: Any = redis  # whose types know no answer that is surely bytes
        self._model = model
        self._namespace = namespace
        self._root = root(namespace, model.name)

    async def ensure_live(self) -> Generation:
        await self._check_policy()
        number, description = await self._run(scripts.ENSURE_LIVE, self._description(), now_ms())
        return _generation(number, description, "live")

    async def in_state(self, state: str) -> Generation | None:
        number = await self._redis.hget(self._root, state)
        description = None if number is None else await self._redis.hget(self._root, f"g{int(number)}")
        return None if number is None or description is None else _generation(number, description, state)

    async def begin(self) -> Generation:
        number, description = await self._run(scripts.BEGIN, self._description(), self._model.version)
        return _generation(number, description, "building")

    async def discard(self) -> None:
        await self._run(scripts.DISCARD)

    async def begin_side(self) -> Generation | None:
        made = await self._run(scripts.BEGIN_SIDE, self._description(), now_ms())
        return Generation(1, self._model.version, "live") if made else None

    def rows(self, generation: int) -> DocumentsWriter:
        return DocumentsWriter(self._redis, self._model, generation, namespace=self._namespace)

    async def compare(self, number: int, level: Level) -> Comparison | None:
        """See Store. The live generation is held for all of the comparison: Redis has no snapshots."""
        async with self._held(level) as prolong:
            live = await self.in_state("live")
            if live is None or live.version != self._model.version:
                return None
            different = 0
            for one, other in ((live.number, number), (number, live.number)):
                async for fields in self._fields(one):
                    ours = await self._redis.hmget(self._rows_of(one), fields)
                    theirs = await self._redis.hmget(self._rows_of(other), fields)
                    pairs = zip(ours, theirs, strict=True)
                    # What differs is counted the first time round, what only the newer one has the second.
                    different += sum(b is None if one == number else a != b for a, b in pairs)
                    await prolong()
            return Comparison(await self._redis.hlen(self._rows_of(number)), different)

    async def missing(self, number: int, level: Level) -> int:
        """See Store. The live generation is held meanwhile, as for a comparison."""
        gone = 0
        async with self._held(level) as prolong:
            live = await self.in_state("live")
            if live is None or live.version != self._model.version:
                return 0
            async for fields in self._fields(live.number):
                ours = await self._redis.hmget(self._rows_of(live.number), fields)
                theirs = await self._redis.hmget(self._rows_of(number), fields)
                gone += sum(a != b for a, b in zip(ours, theirs, strict=True))
                await prolong()
        return gone

    async def swap(self, number: int, level: Level) -> int:
        async with self._held(level):
            answer = await self._run(scripts.SWAP, number, now_ms())
            if isinstance(answer, bytes):
                raise NotCaughtUp(f"generation {number} of {self._model.name} can't go live: {answer.decode()}")
            return int(answer)

    async def tidy(self, number: int) -> int:
        return int(await self._redis.hlen(self._rows_of(number)))

    async def rollback(self) -> tuple[Generation, int]:
        number, epoch = await self._run(scripts.ROLLBACK, now_ms())
        live = await self.in_state("live")
        if number == b"0" or live is None:
            raise NoSuchGeneration(f"{self._model.name} has no previous generation")
        return live, int(epoch)

    async def raise_epoch(self) -> int:
        return int(await self._redis.hincrby(self._root, "epoch", 1))

    async def ruling(self, place: Place) -> Decision | None:
        found = await self._redis.hget(f"{self._root}:rulings", kept.place_field(place))
        return None if found is None else kept.decision_of(found)[0]

    async def rule(self, rulings: Collection[Ruling]) -> None:
        noted = {kept.place_field(ruling.place): kept.ruling_field(ruling) for ruling in rulings}
        if noted:
            await self._redis.hset(f"{self._root}:rulings", mapping=noted)
        if skipped := [kept.place_field(r.place) for r in rulings if r.decision is Decision.SKIPPED]:
            await self._redis.sadd(f"{self._root}:skipped", *skipped)

    async def overview(self) -> list[dict[str, Any]]:
        described = await self._redis.hgetall(self._root)
        shown = []
        for state in ("previous", "live", "building"):
            if (number := described.get(state.encode())) is None:
                continue
            what = orjson.loads(described[b"g" + number])
            since = described.get(b"since" + number)
            events = await self._redis.hget(f"{self._root}:g{int(number)}:positions", "events")
            shown.append(
                {
                    "projection": self._model.name,
                    "generation": int(number),
                    "version": what["version"],
                    "state": state,
                    "created_at": _time(what["created_at_ms"]),
                    "live_since": None if since is None else _time(int(since)),
                    "events": int(events or 0),
                }
            )
        return sorted(shown, key=lambda each: each["generation"])

    async def parked(self, states: Collection[str], limit: int) -> Waiting:
        records = await self._parked_now()
        asked = sum(record.request is not None for record in records)
        return Waiting([record for record in records if record.state in states][:limit], len(records), asked)

    async def parked_at(self, place: Place) -> Parked | None:
        return next((record for record in await self._parked_now() if record.place == place), None)

    async def ask(self, what: str, places: Collection[Place] | None) -> list[Place]:
        if places is None:
            places = [record.place for record in (await self.parked(("dead", "early"), 2**31)).records]
        return [kept.place_of(field) for field in await self._run(scripts.ASK, what, *map(kept.place_field, places))]

    async def _parked_now(self) -> list[Parked]:
        live = await self.in_state("live")
        return [] if live is None else await self.rows(live.number).parked()

    async def _check_policy(self) -> None:
        memory = await self._redis.info("memory")
        if memory.get("maxmemory") and str(memory.get("maxmemory_policy", "")).startswith("allkeys"):
            raise Unsuitable(
                f"Redis may evict rows of {self._model.name}: maxmemory-policy is {memory['maxmemory_policy']},"
                " expected volatile-lru (only the cache's keys, which expire) or noeviction"
            )

    @asynccontextmanager
    async def _held(self, level: Level) -> AsyncIterator[Callable[[], Any]]:
        """The live generation stands still and the one that is built is level with it; the call given holds on."""
        holder = uuid.uuid4().hex

        async def hold() -> None:
            if not await self._run(scripts.HOLD, holder, HOLD_MS):
                raise Busy("somebody else holds the live generation")

        await hold()
        try:
            live = await self.in_state("live")
            assert live is not None
            async with asyncio.timeout(HOLD_MAX_S):
                await level(await self.rows(live.number).positions())
            await hold()
            yield hold
        except TimeoutError as error:
            raise Busy(f"it could not be drawn level within {HOLD_MAX_S:g} s") from error
        finally:
            with contextlib.suppress(RedisError):  # then it ends by itself
                await self._run(scripts.LET_GO, holder)

    async def _fields(self, generation: int) -> AsyncIterator[list[bytes]]:
        """Every field of the rows, some at a time, none twice while nobody writes."""
        cursor, seen = 0, set[bytes]()
        while True:
            cursor, found = await self._redis.hscan(self._rows_of(generation), cursor, count=COMPARED_AT_ONCE)
            if fields := [field for field in found if field not in seen]:
                seen.update(fields)
                yield fields
            if cursor == 0:
                return

    async def _run(self, script: str, *arguments: Any) -> Any:
        return await self._redis.register_script(script)(keys=[self._root], args=arguments)

    def _rows_of(self, generation: int) -> str:
        return f"{self._root}:g{generation}:rows"

    def _description(self) -> bytes:
        model = self._model
        return orjson.dumps({"version": model.version, "topics": model.topics, "created_at_ms": now_ms()})


def _generation(number: bytes, description: bytes, state: str) -> Generation:
    return Generation(int(number), orjson.loads(description)["version"], state)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
