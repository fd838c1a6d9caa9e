"""The rebuilds of this process: started, watched and cancelled over HTTP. A rebuild that fails harms nothing else."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import TopicPartition
from atlas_contracts.codec import Codec
from atlas_errors.backoff import retrying
from atlas_errors.policy import describe
from atlas_kafka.cluster.groups import open_reader
from atlas_kafka.cluster.partitions_now import partitions_now
from atlas_readmodel.postgres.generations import Generation
from atlas_readmodel.store import Store
from atlas_readmodel.stores import Stores

from atlas_projector.live import Live
from atlas_projector.metrics import REBUILD_RUNNING, REBUILDS
from atlas_projector.rebuilding.archived import open_source
from atlas_projector.rebuilding.builder import RebuildError
from atlas_projector.rebuilding.rebuild import NotIdentical, Options, Progress, RowsMissing, rebuild
from atlas_projector.rebuilding.side import Selection, build_side
from atlas_projector.rebuilding.workers import Setup
from atlas_projector.source import RecordsGone, Source
from atlas_projector.standing import outdated

log = structlog.get_logger(__name__)


class AlreadyRunning(Exception):
    """The projection is being rebuilt by this process."""


@dataclass
class _Run:
    progress: Progress
    state: str = "running"
    error: str | None = None
    result: dict[str, Any] | None = None
    asks: dict[str, Any] | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Rebuilds:
    """At most one rebuild a projection; the last one's outcome stays to be asked for."""

    def __init__(self, stores: Stores, codec: Codec, setup: Setup, lives: Mapping[str, Live]) -> None:
        self._stores = stores
        self._codec = codec
        self._setup = setup
        self._lives = lives
        self._runs: dict[str, _Run] = {}

    def start(
        self,
        name: str,
        *,
        verify: bool = False,
        fresh: bool = False,
        keep_rows: bool = False,
        selection: Selection | None = None,
    ) -> None:
        """Begin, or go on with, a rebuild. `fresh`: give up an unfinished one first. `keep_rows`: see Options.

        With a `selection`: into its side table, which readers of the projection never see. Raises AlreadyRunning.
        """
        if self.running(name):
            raise AlreadyRunning(f"{name} is being rebuilt")
        run = self._runs[name] = _Run(Progress())

        async def work() -> None:
            if selection is None:
                await self._swap(name, run, Options(verify, self._setup, keep_rows), fresh)
            else:
                await self._side(name, run, selection)

        run.task = asyncio.create_task(self._watched(name, run, work), name=f"rebuild {name}")

    def running(self, name: str) -> bool:
        """Whether a rebuild of this projection is under way here."""
        return name in self._runs and self._runs[name].state == "running"

    def state(self, name: str) -> dict[str, Any] | None:
        """State (running, done, failed, cancelled), progress, error, result and question of the last rebuild here."""
        run = self._runs.get(name)
        if run is None:
            return None
        state = {"projection": name, "state": run.state, **run.progress.as_json(), "error": run.error}
        return state | {"result": run.result, "asks": run.asks}

    async def wait(self, name: str) -> dict[str, Any] | None:
        """The state once it has ended."""
        run = self._runs.get(name)
        if run is not None and run.task is not None:
            await asyncio.wait({run.task})
        return self.state(name)

    async def cancel(self, name: str) -> bool:
        """Stop it where it is; started again it goes on there. False if none was running."""
        run = self._runs.get(name)
        if run is None or run.task is None or run.task.done():
            return False
        run.task.cancel()
        await asyncio.wait({run.task})
        if run.state == "running":  # it had not even begun
            run.state = "cancelled"
        return True

    async def rollback(self, name: str) -> Generation:
        """Show readers the generation before again. Raises AlreadyRunning, generations.NoSuchGeneration."""
        if self.running(name):
            raise AlreadyRunning(f"{name} is being rebuilt: cancel that first")
        generation, epoch = await self._store(name).rollback()
        await self._lives[name].swapped(epoch)
        log.warning("rolled back", projection=name, generation=generation.number)
        return generation

    async def begin_anew(self, name: str) -> list[str]:
        """Have the live generation go on with the topics that are there now, from their start; gives their names.

        Its rows stay. What was right already is not touched.
        """
        store, setup = self._store(name), self._setup
        live = await store.ensure_live()
        writer = store.rows(live.number)
        async with open_reader(setup.brokers, f"begin-{name}") as reader:
            now = await partitions_now(reader, [TopicPartition(*place) for place in await writer.positions()])
        renewals = outdated(await writer.topic_ids(), now)
        await writer.renew(renewals)
        await self._lives[name].floors.outdate()
        log.warning("told to begin anew", projection=name, topics=[renewal.former for renewal in renewals])
        return sorted({renewal.topic for renewal in renewals})

    async def upgrade(self, name: str, stop: asyncio.Event) -> bool:
        """Rebuild a projection whose live generation is of another version; not if it was rolled back to that.

        True once readers see this code's version. Runs until `stop`.
        """
        projection = self._lives[name].projection
        if await self._live_version(name, stop) == projection.version:
            return True
        previous = await self._store(name).in_state("previous")
        if previous is not None and previous.version == projection.version:
            return False
        if not self.running(name):
            self.start(name)
        ended = asyncio.create_task(self.wait(name))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        ended.cancel()
        return not stop.is_set() and await self._live_version(name, stop) == projection.version

    async def close(self) -> None:
        """Cancel whatever runs."""
        for name in list(self._runs):
            await self.cancel(name)

    async def _live_version(self, name: str, stop: asyncio.Event) -> int | None:
        async def look() -> Generation | None:
            return await self._store(name).in_state("live")

        live = await retrying(look, what=f"{name} version", stop=stop)
        return None if live is None else live.version

    async def _swap(self, name: str, run: _Run, options: Options, fresh: bool) -> None:
        live = self._lives[name]
        if fresh:
            await self._store(name).discard()
        async with self._source(name) as source:
            built = await rebuild(live.projection, self._stores, self._codec, source, run.progress, options)
        await live.swapped(built.epoch)
        comparison = built.comparison
        run.result = _result(name, run.progress, built.rows, comparison.different_rows if comparison else None)

    async def _side(self, name: str, run: _Run, selection: Selection) -> None:
        projection = self._lives[name].projection
        async with self._source(name) as source:
            rows = await build_side(projection, self._stores, self._codec, source, run.progress, selection)
        run.result = _result(name, run.progress, rows, None) | {"into": selection.into}

    def _store(self, name: str) -> Store:
        return self._stores.of(self._lives[name].projection.model)

    def _source(self, name: str) -> AbstractAsyncContextManager[Source]:
        setup = self._setup
        return open_source(setup.brokers, self._lives[name].projection.topics, f"rebuild-{name}", setup.archive)

    async def _watched(self, name: str, run: _Run, work: Callable[[], Awaitable[None]]) -> None:
        REBUILD_RUNNING.labels(name).set(1)
        try:
            await work()
        except asyncio.CancelledError:
            run.state = "cancelled"
            log.warning("rebuild cancelled", projection=name, events=run.progress.events)
            raise
        except Exception as error:
            run.state, run.error = "failed", _in_words(error)
            if isinstance(error, NotIdentical):
                run.result = _result(name, run.progress, error.comparison.rows, error.comparison.different_rows)
            if isinstance(error, RowsMissing):
                run.asks = {"topics": error.topics, "missing_rows": error.rows}
            log.error("rebuild failed", projection=name, error=run.error, exc_info=error)
        else:
            run.state = "done"
            log.info("rebuilt", **(run.result or {}))
        finally:
            REBUILD_RUNNING.labels(name).set(0)
            REBUILDS.labels(name, run.state).inc()


def _result(name: str, progress: Progress, rows: int, different_rows: int | None) -> dict[str, Any]:
    now = progress.as_json()
    return {
        "projection": name,
        "from_generation": progress.from_generation,
        "to_generation": progress.to_generation,
        "rows": rows,
        "identical": None if different_rows is None else different_rows == 0,
        "different_rows": different_rows,
        "events": progress.events,
        "passed_over": progress.passed_over,
        "seconds": now["seconds"],
    }


def _in_words(error: Exception) -> str:
    return str(error) if isinstance(error, RebuildError | RecordsGone) else describe(error)
