"""The demo from the first request to the last proof, in the order it is told."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from itertools import islice
from statistics import median
from typing import Any, NamedTuple

import aiohttp
from atlas_contracts.topics import Topic
from atlas_runtime import contexts
from atlas_runtime.demo import Event
from typing_extensions import TypedDict

from atlas_cli.asking import Service
from atlas_cli.commands.archive.segments import verify_topics
from atlas_cli.commands.operate.health import read_lag
from atlas_cli.connect import load_registry
from atlas_cli.demo import prove
from atlas_cli.demo.chosen import Demos, places
from atlas_cli.demo.load import HttpGateway, Progress, loading
from atlas_cli.demo.ready import require_ready, services_of
from atlas_cli.demo.report import Report
from atlas_cli.demo.view import Show
from atlas_cli.demo.watch import ARCHIVER_GROUP, Groups, Snapshot, Watch, open_watch
from atlas_cli.read_models.rebuilding import rebuild
from atlas_cli.settings import CliSettings
from atlas_cli.terminal.output import CommandError

SNAPSHOT_EVERY_S = 0.5
# Nothing moved for this long: something is broken, and waiting on would hide it.
STALLED_AFTER_S = 120.0
LATENCY_SAMPLES = 50

Tell = Callable[[str], None]


class _Outbox(TypedDict):
    backlog_rows: int


class _Run(NamedTuple):
    """What the steps of one demo share."""

    settings: CliSettings
    gateway: HttpGateway
    demos: Demos
    topics: Mapping[str, Topic]
    watch: Watch
    report: Report


async def tell(settings: CliSettings, demos: Demos, show: Show, say: Tell) -> Report:
    """Load everything, wait until it has arrived everywhere, prove it. Raises CommandError when the mesh is not ready
    or when nothing moves any more; a proof that fails is in the report.
    """
    services = services_of(settings)
    declared = load_registry(settings).topics
    loaded = _topics_of(demos)
    if unknown := [topic for topic in loaded if topic not in declared]:
        raise CommandError(f"a demo sends to {', '.join(unknown)}, which topics.yaml does not declare")
    groups = {**_projections_of(settings, loaded), ARCHIVER_GROUP: loaded}
    async with AsyncExitStack() as stack:
        timeout = aiohttp.ClientTimeout(total=120)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        await require_ready(session, services)
        watch = await stack.enter_async_context(open_watch(settings.kafka_brokers, groups, session, services))
        gateway = HttpGateway(session, services["gateway"])
        report = Report({name: demo.size for name, demo in demos.items()})
        run = _Run(settings, gateway, demos, declared, watch, report)
        await _load(run, show)
        await _prove(run, say)
        report.visible_ms = await measure_visible_ms(gateway, demos)
        report.peak_rss_mb = {name: round(mb, 1) for name, mb in sorted(watch.peak_rss_mb.items())}
        report.look = places(gateway.url, demos)
    return report


def _topics_of(demos: Demos) -> tuple[str, ...]:
    return tuple(sorted({topic for demo in demos.values() for topic in (*demo.events(), *demo.commands())}))


def _projections_of(settings: CliSettings, loaded: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The groups of the projections that read what is loaded, with the topics of it."""
    groups = {
        f"projector.{projection.name}": tuple(topic for topic in projection.topics if topic in loaded)
        for projection in contexts.flat(contexts.PROJECTIONS, settings.contexts)
    }
    return {group: topics for group, topics in groups.items() if topics}


async def _load(run: _Run, show: Show) -> None:
    """Send everything at once, and watch until projections and archive have all of it."""
    present = {topic: await run.watch.keys(topic) for demo in run.demos.values() for topic in demo.events()}
    progress = Progress()

    def missing(topic: str, events: Iterable[Event]) -> Iterable[Event]:
        """So that a demo can be repeated and an interrupted one taken up."""
        keys, declared = present[topic], run.topics[topic]
        return (event for event in events if declared.key_of(*event) not in keys) if keys else events

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(load)
            for demo in run.demos.values()
            for load in loading(run.gateway, demo, progress, missing)
        ]
        group.create_task(_watch_until_arrived(run, progress, tasks, show))
    run.report.sent = dict(progress.sent)


async def _watch_until_arrived(run: _Run, progress: Progress, loads: list[asyncio.Task[Any]], show: Show) -> None:
    moved_at, last = time.monotonic(), None
    while True:
        # Before the snapshot: what a command did is on its topic once its row has left the outbox.
        done = all(task.done() for task in loads) and not await _unsent(run.settings)
        snapshot = await run.watch.snapshot()
        show(progress, snapshot)
        if done:
            _note_times(progress, snapshot, run)
            if {"projected", "archived"} <= run.report.seconds.keys():
                return
        if (now := (snapshot.ends, snapshot.committed)) != last:
            moved_at, last = time.monotonic(), now
        elif time.monotonic() - moved_at > STALLED_AFTER_S:
            waiting = _waiting(snapshot, run.watch.groups)
            raise CommandError(f"nothing moved for {STALLED_AFTER_S:.0f} s; still waiting: {waiting}")
        at_work = [task for task in loads if not task.done()]
        await (asyncio.wait(at_work, timeout=SNAPSHOT_EVERY_S) if at_work else asyncio.sleep(SNAPSHOT_EVERY_S))


async def _unsent(settings: CliSettings) -> int:
    answer: _Outbox = await Service("relay", settings.relay_url).ask("GET", "/outbox", _Outbox)
    return answer["backlog_rows"]


def _note_times(progress: Progress, snapshot: Snapshot, run: _Run) -> None:
    begun = progress.first_request if progress.first_request is not None else snapshot.at
    answered = progress.last_answer if progress.last_answer is not None else begun
    seconds = run.report.seconds
    seconds.setdefault("produced", round(answered - begun, 2))
    behind = {"projected": 0, "archived": 0}
    for group, topics in run.watch.groups.items():
        what = "archived" if group == ARCHIVER_GROUP else "projected"
        behind[what] += sum(snapshot.behind(group, topic) for topic in topics)
    for what, offsets in behind.items():
        if not offsets:
            seconds.setdefault(what, round(snapshot.at - begun, 2))


def _waiting(snapshot: Snapshot, groups: Groups) -> str:
    behind = {(group, topic): snapshot.behind(group, topic) for group, topics in groups.items() for topic in topics}
    return ", ".join(f"{group} {topic}: {offsets} offsets" for (group, topic), offsets in behind.items() if offsets)


async def _prove(run: _Run, say: Tell) -> None:
    report, records = run.report, Counter[str]()
    for name, demo in run.demos.items():
        say(f"comparing the read models of {name} with what was sent")
        proof = await demo.prove(run.gateway)
        report.checks += proof.checks
        report.projected += proof.projected
        records.update(proof.records)
    report.events = records.total()
    say("verifying the archive against the topics")
    verified = await verify_topics(run.settings, list(run.watch.topics), quiet=True)
    report.archived = sum(row.records for row in verified)
    report.checks.append(prove.prove_archive(verified, records))
    for name in (name for demo in run.demos.values() for name in demo.rebuilds):
        say(f"rebuilding {name} into a new generation and comparing it with the old one")
        report.rebuilds[name] = await rebuild(run.settings, name, verify=True)
        report.checks.append(prove.prove_rebuild(name, report.rebuilds[name]))
    lag, _ = await read_lag(run.settings, {})
    report.checks.append(prove.prove_lag(lag, run.watch.groups))
    report.lag_records = sum(row["lag_records"] or 0 for row in lag if row["group"] in run.watch.groups)


async def measure_visible_ms(gateway: HttpGateway, demos: Demos, samples: int = LATENCY_SAMPLES) -> float | None:
    """Median milliseconds from sending a command to the answer of a query that sees it, one at a time; None where
    no context has a probe.
    """
    took: list[float] = []
    for demo in demos.values():
        for probe in islice(demo.probes(), samples):
            begun = time.perf_counter()
            await probe(gateway)
            took.append((time.perf_counter() - begun) * 1000)
    return round(median(took), 2) if took else None
