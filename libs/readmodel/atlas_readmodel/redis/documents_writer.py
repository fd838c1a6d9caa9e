"""Rows and positions of one generation of documents, in one step of Redis.

The promise is that of atlas_readmodel.postgres.writer: a script moves each position only from where the writer
believes it to be, and sets the rows made from the records before it in the same step. Should Redis lose its last
writes, positions go back with the rows, the writer is told, and the records are read again.
"""

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import orjson
from redis.asyncio import Redis

from atlas_readmodel.documents import DocumentModel, dump, field_of, root
from atlas_readmodel.postgres.deaths import Mark
from atlas_readmodel.postgres.topic_ids import Partition, Renewal
from atlas_readmodel.postgres.writer import Advance, Batch, Fenced, Key, Row, Waits
from atlas_readmodel.redis import documents_parking as kept
from atlas_readmodel.redis import documents_scripts as scripts
from atlas_readmodel.store import HOLD_MAX_S
from atlas_readmodel.waiting.parking import Decision, Dropped, Parked, Place, Ruling, State

LOOK_EVERY_S = 0.005
Argument = str | bytes | int


class DocumentsWriter:
    """See Rows. Knows nothing of events."""

    def __init__(self, redis: Redis, model: DocumentModel, generation: int, *, namespace: str) -> None:
        self._redis: Any = redis  # whose types know no answer that is surely bytes
        self._model = model
        self._root = root(namespace, model.name)
        self.generation = generation
        self._topic_ids: dict[str, str] = {}
        self._write = redis.register_script(scripts.WRITE)
        self._add = redis.register_script(scripts.ADD_POSITIONS)

    async def load(self, keys: Collection[Key]) -> dict[Key, Row]:
        if not keys:
            return {}
        ordered = list(keys)
        found = await self._redis.hmget(self._name("rows"), [field_of(key) for key in ordered])
        return {key: orjson.loads(row) for key, row in zip(ordered, found, strict=True) if row is not None}

    async def positions(self) -> dict[tuple[str, int], int]:
        return positions_of(await self._redis.hgetall(self._name("positions")))

    async def topic_ids(self) -> dict[Partition, str | None]:
        found = await self._redis.hgetall(self._name("topics"))
        ids = {field.decode(): topic_id.decode() for field, topic_id in found.items()}
        return {(topic, number): ids.get(f"{topic}/{number}") for topic, number in await self.positions()}

    async def adopt(self, ids: Mapping[str, str], ends: Mapping[Partition, int]) -> None:
        places = [(f"{topic}/{number}", ids[topic], end) for (topic, number), end in ends.items()]
        await self._run(scripts.ADOPT, self.generation, *(part for place in places for part in place))

    async def renew(self, renewals: Collection[Renewal]) -> None:
        each = [(r.topic, r.partition, r.now, r.former, r.partitions) for r in renewals]
        await self._run(scripts.RENEW, self.generation, *(part for parts in each for part in parts))

    async def _run(self, script: str, *arguments: Argument) -> None:
        await self._redis.register_script(script)(keys=[self._root], args=arguments)

    async def add_positions(self, partitions: Iterable[tuple[str, int]], ids: Mapping[str, str] | None = None) -> None:
        self._topic_ids = dict(ids or {})
        added = [(f"{topic}/{number}", self._topic_ids.get(topic, "")) for topic, number in sorted(partitions)]
        await self._add(keys=[self._root], args=[self.generation, *(part for place in added for part in place)])

    async def drop_asked(self, expected: Mapping[tuple[str, int], int], most: int) -> Dropped:
        wanted = await self._redis.hgetall(self._name("requests"))
        fields = [field for field, what in wanted.items() if what == b"drop" and kept.place_of(field)[:2] in expected]
        places = [kept.place_of(field) for field in fields[:most]]
        if not places:
            return Dropped((), ())
        left = {record.place: record for record in await self.parked()}
        gone = [left.pop(place) for place in places if place in left]
        moves = [Advance(topic, number, at, at, 0) for (topic, number), at in expected.items()]
        rulings = [Ruling(record.place, Decision.DROPPED, record.error or "") for record in gone]
        await self.write(Batch(moves, {}, released=places, rulings=rulings))
        free = {(*record.place[:2], record.key) for record in gone if record.key is not None}
        for record in left.values():  # in order: the first of each key
            key = (*record.place[:2], record.key)
            if key in free and record.state is not State.EARLY:
                free.discard(key)
                if record.state is State.BEHIND:
                    await self._redis.hsetnx(self._name("requests"), kept.place_field(record.place), "retry")
        return Dropped(places, [*free])

    async def skipped(self) -> list[Place]:
        return [kept.place_of(field) for field in await self._redis.smembers(f"{self._root}:skipped")]

    async def take_over(self, reader: str, partitions: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        positions, dead = await self.positions(), {}
        for place in partitions:
            field = f"{place[0]}/{place[1]}"
            held = await self._redis.hget(self._name("readers"), field)
            before, began_at, deaths = orjson.loads(held) if held else (None, None, 0)
            got_on = before is None or began_at != positions.get(place)
            dead[place] = 0 if got_on else deaths + (before != reader)
            said = orjson.dumps([reader, positions.get(place), dead[place]])
            await self._redis.hset(self._name("readers"), field, said)
        return dead

    async def let_go(self, reader: str, partitions: Collection[tuple[str, int]]) -> None:
        for topic, partition in partitions:
            field = f"{topic}/{partition}"
            held = await self._redis.hget(self._name("readers"), field)
            if held and orjson.loads(held)[0] == reader:
                await self._redis.hdel(self._name("readers"), field)
        for field, mark in (await self._redis.hgetall(f"{self._root}:failures")).items():
            if mark[:1] == b"[" and orjson.loads(mark)[2] == reader:
                await self._redis.hdel(f"{self._root}:failures", field)

    async def mark(self, place: Place, records: int, reader: str) -> None:
        field = kept.place_field(place)
        before = await self._redis.hget(f"{self._root}:failures", field)
        known = Mark(*orjson.loads(before)) if before and before[:1] == b"[" else Mark(records, 0, "")
        made = [records, known.attempts + (known.reader != reader), reader]
        await self._redis.hset(f"{self._root}:failures", field, orjson.dumps(made))

    async def unmark(self, places: Collection[Place]) -> None:
        await self._redis.hdel(f"{self._root}:failures", *map(kept.place_field, places))

    async def empty(self) -> bool:
        return int(await self._redis.hlen(self._name("rows"))) == 0

    async def waiting(self, partitions: Iterable[tuple[str, int]]) -> Waits:
        wanted = set(partitions)
        records = [record for record in await self.parked() if record.place[:2] in wanted]
        rulings = await self._redis.hgetall(f"{self._root}:rulings")
        failures = await self._redis.hgetall(f"{self._root}:failures")
        return Waits(
            records,
            {kept.place_of(field): kept.decision_of(ruling)[0] for field, ruling in rulings.items()},
            {kept.place_of(field): Mark(*orjson.loads(mark)) for field, mark in failures.items() if mark[:1] == b"["},
            {kept.place_of(field): kept.decision_of(ruling)[1] for field, ruling in rulings.items()},
        )

    async def asked(self) -> set[str]:
        return {what.decode() for what in await self._redis.hvals(self._name("requests"))}

    async def requests(self) -> list[list[Parked]]:
        # Asked four times a second: mostly there is nothing, and one small answer says so.
        if not await self._redis.exists(self._name("requests")):
            return []
        records = await self.parked()
        found: list[list[Parked]] = []
        seen: set[Place] = set()
        for record in records:
            if record.request is not None and record.place not in seen:
                found.append(kept.of_key(records, record))
                seen.update(each.place for each in found[-1])
        return found

    async def write(self, batch: Batch) -> None:
        """See Rows. While somebody holds the generation, waits: as long as anybody may, and as long again.

        One script: 1. compare the positions and move them; 2. set rows, delete those that ended; 3. park records, let
        go those that waited, note what was decided.
        """
        arguments = self._arguments(batch)
        deadline = time.monotonic() + 2 * HOLD_MAX_S
        while (answer := await self._write(keys=[self._root], args=arguments)) == b"held":
            if time.monotonic() > deadline:
                raise TimeoutError(f"generation {self.generation} of {self._model.name} is held by somebody")
            await asyncio.sleep(LOOK_EVERY_S)
        if answer != b"ok":
            raise Fenced(
                f"generation {self.generation} of {self._model.name} was moved on by another: {answer.decode()}"
            )

    async def try_each(self, rows: Mapping[Key, Row | None]) -> Mapping[Key, str]:
        return {}

    async def explain(self, rows: Mapping[Key, Row | None], error: str) -> str:
        return error

    def _arguments(self, batch: Batch) -> list[Argument]:
        ended = [field_of(key) for key, row in batch.rows.items() if row is None]
        lists: list[list[Argument]] = [[], [], [*ended], [], [], []]
        advances, rows, _, released, parked, rulings = lists
        for move in batch.advances:
            topic_id = self._topic_ids.get(move.topic, "")
            advances += [f"{move.topic}/{move.partition}", move.expected, move.next_offset, move.events, topic_id]
        for key, row in batch.rows.items():
            if row is not None:
                rows += [field_of(key), dump(row)]
        released += [kept.place_field(place) for place in batch.released]
        for record in batch.parked:
            parked += [kept.place_field(record.place), kept.dump(record)]
        for ruling in batch.rulings:
            rulings += [kept.place_field(ruling.place), kept.ruling_field(ruling)]
        counts: list[Argument] = [
            len(batch.advances), len(rows) // 2, len(ended), len(released), len(parked) // 2, len(rulings) // 2
        ]  # fmt: skip
        arguments: list[Argument] = [self.generation, now_ms(), *counts]
        return arguments + [argument for part in lists for argument in part]

    async def parked(self) -> list[Parked]:
        """All that waits, by topic, partition and offset."""
        parked = await self._redis.hgetall(self._name("parked"))
        return kept.load_all(parked, await self._redis.hgetall(self._name("requests"))) if parked else []

    def _name(self, what: str) -> str:
        return f"{self._root}:g{self.generation}:{what}"


def now_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


def positions_of(found: dict[bytes, Any]) -> dict[tuple[str, int], int]:
    """Next offsets by (topic, partition), from the hash they are kept in."""
    positions = {}
    for field, offset in found.items():
        topic, slash, partition = field.decode().rpartition("/")
        if slash:
            positions[topic, int(partition)] = int(offset)
    return positions
