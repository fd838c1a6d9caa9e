"""The demo from the first request to the last proof, in the order it is told."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import aiohttp
from atlas_local.waiting import wait_until

from atlas_cli import flights_data
from atlas_cli.commands.archive import verify_topics
from atlas_cli.demo import prove
from atlas_cli.demo.load import DemoUser, Event, Progress, post_events, register_users
from atlas_cli.demo.view import Show
from atlas_cli.demo.watch import ARCHIVER_GROUP, Snapshot, Watch, open_watch
from atlas_cli.faults import START_IT
from atlas_cli.output import CommandError
from atlas_cli.rebuilding import rebuild
from atlas_cli.settings import CliSettings

USERS_TOPIC = "users.events"
FLIGHTS_TOPIC = "flights.events"
PROJECTIONS = {
    "projector.users": (USERS_TOPIC,),
    "projector.flights": (FLIGHTS_TOPIC,),
    "projector.routes": (FLIGHTS_TOPIC,),
    "projector.carriers": (FLIGHTS_TOPIC,),
    "projector.departures": (FLIGHTS_TOPIC,),
}
LOADED_TOPICS = (FLIGHTS_TOPIC, "flights.reference", "flights.weather", USERS_TOPIC)
GROUPS = {**PROJECTIONS, ARCHIVER_GROUP: LOADED_TOPICS}
SNAPSHOT_EVERY_S = 0.5
# Nothing moved for this long: something is broken, and waiting on would hide it.
STALLED_AFTER_S = 120.0
LATENCY_SAMPLES = 50
READY_WITHIN_S = 60.0

Tell = Callable[[str], None]


@dataclass
class Report:
    """What the demo measured and proved; `as_json` is written to .atlas/demo.json."""

    users: int
    flights: int = 0
    events: int = 0
    projected: int = 0
    archived: int = 0
    checks: list[prove.Check] = field(default_factory=list)
    rebuild: dict[str, Any] = field(default_factory=dict)
    lag_records: int = 0
    posted: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    visible_ms: float = 0.0
    peak_rss_mb: dict[str, float] = field(default_factory=dict)

    @property
    def mismatches(self) -> int:
        """How many things were not as they should be."""
        return sum(max(1, len(check.differences)) for check in self.checks if not check.holds)

    def as_json(self) -> dict[str, Any]:
        """Counts in records and rows, times in seconds and milliseconds, memory in MB."""
        return {
            "events": self.events,
            "projected": self.projected,
            "archived": self.archived,
            "mismatches": self.mismatches,
            "rebuild_identical": bool(self.rebuild.get("identical")),
            "lag_records": self.lag_records,
            "seconds_produce_to_projected": self.seconds.get("projected", 0.0),
            "seconds_produce_to_archived": self.seconds.get("archived", 0.0),
            "seconds": self.seconds,
            "flights": self.flights,
            "users": self.users,
            "posted": self.posted,
            "visible_ms_median": self.visible_ms,
            "rebuild": self.rebuild,
            "peak_rss_mb": self.peak_rss_mb,
            "checks": [
                {"what": c.what, "compared": c.compared, "holds": c.holds, "differences": list(c.differences)[:20]}
                for c in self.checks
            ],
        }


async def tell(settings: CliSettings, users: int, show: Show, say: Tell) -> Report:
    """Load everything, wait until it has arrived everywhere, prove it. Raises CommandError when the mesh is not ready
    or when nothing moves any more; a proof that fails is in the report.
    """
    services = {
        "gateway": settings.gateway_url,
        "relay": settings.relay_url,
        "projector": settings.projector_url,
        "archiver": settings.archiver_url,
        "health-aggregator": settings.health_url,
    }
    async with AsyncExitStack() as stack:
        timeout = aiohttp.ClientTimeout(total=120)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        await _require_ready(session, services)
        watch = await stack.enter_async_context(open_watch(settings.kafka_brokers, GROUPS, session, services))
        progress, report = Progress(), Report(users=users)
        people = await _load(session, settings.gateway_url, progress, watch, report, show)
        await _prove(session, settings, people, report, say)
        report.visible_ms = await measure_visible_ms(session, settings.gateway_url)
        report.peak_rss_mb = {name: round(mb, 1) for name, mb in sorted(watch.peak_rss_mb.items())}
    return report


async def _require_ready(session: aiohttp.ClientSession, services: dict[str, str]) -> None:
    """Wait until every service says that it is ready: a mesh that has just started may still share out partitions."""

    async def ready(url: str) -> bool:
        async with session.get(f"{url}/health/ready") as response:
            reasons[url] = await response.text()
            return response.status == 200

    reasons: dict[str, str] = {}
    for name, url in services.items():
        try:
            await wait_until(f"{name} to be ready", lambda url=url: ready(url), READY_WITHIN_S)
        except TimeoutError:
            raise CommandError(f"{name} at {url} is not ready: {reasons[url]}") from None
        except aiohttp.ClientError as error:
            raise CommandError(f"{name} at {url} does not answer ({error}); {START_IT}") from None


async def _load(
    session: aiohttp.ClientSession,
    gateway: str,
    progress: Progress,
    watch: Watch,
    report: Report,
    show: Show,
) -> dict[str, DemoUser]:
    """Post everything at once, and watch until projections and archive have all of it."""
    sources: dict[str, Callable[[], Iterable[Event]]] = {
        "flights.reference": lambda: itertools.chain(
            flights_data.airlines(), flights_data.airports(), flights_data.planes()
        ),
        "flights.weather": flights_data.weather,
        FLIGHTS_TOPIC: flights_data.flights,
    }
    present = {topic: await watch.keys(topic) for topic in sources}
    async with asyncio.TaskGroup() as group:
        people = group.create_task(register_users(session, gateway, report.users, progress))
        loading = [
            group.create_task(post_events(session, gateway, topic, _missing(source(), present[topic]), progress))
            for topic, source in sources.items()
        ]
        watching = group.create_task(_watch_until_arrived(progress, watch, [people, *loading], report, show))
    await watching
    report.posted = {**progress.events, USERS_TOPIC: progress.commands}
    return people.result()


def _missing(events: Iterable[Event], present: set[bytes]) -> Iterator[Event]:
    """The events whose key is not on the topic yet, so that a demo can be repeated and an interrupted one taken up."""
    for kind, value in events:
        key = next(iter(value.values()))  # the topics' key fields come first in these events
        if not present or key.encode() not in present:
            yield kind, value


async def _watch_until_arrived(
    progress: Progress, watch: Watch, loading: list[asyncio.Task[Any]], report: Report, show: Show
) -> None:
    moved_at, last = time.monotonic(), None
    while True:
        snapshot = await watch.snapshot()
        show(progress, snapshot)
        done = all(task.done() for task in loading)
        if done:
            _note_times(progress, snapshot, report)
            if {"projected", "archived"} <= report.seconds.keys():
                return
        if (now := (snapshot.ends, snapshot.committed)) != last:
            moved_at, last = time.monotonic(), now
        elif time.monotonic() - moved_at > STALLED_AFTER_S:
            raise CommandError(f"nothing moved for {STALLED_AFTER_S:.0f} s; still waiting: {_waiting(snapshot)}")
        await asyncio.wait(loading, timeout=SNAPSHOT_EVERY_S) if not done else await asyncio.sleep(SNAPSHOT_EVERY_S)


def _note_times(progress: Progress, snapshot: Snapshot, report: Report) -> None:
    begun = progress.first_request if progress.first_request is not None else snapshot.at
    answered = progress.last_answer if progress.last_answer is not None else begun
    report.seconds.setdefault("produced", round(answered - begun, 2))
    arrived = {
        "projected": all(snapshot.behind(g, topic) == 0 for g, topics in PROJECTIONS.items() for topic in topics),
        "archived": all(snapshot.behind(ARCHIVER_GROUP, topic) == 0 for topic in LOADED_TOPICS),
    }
    for what, holds in arrived.items():
        if holds:
            report.seconds.setdefault(what, round(snapshot.at - begun, 2))


def _waiting(snapshot: Snapshot) -> str:
    behind = {(g, t): snapshot.behind(g, t) for g, topics in GROUPS.items() for t in topics}
    return ", ".join(f"{group} {topic}: {offsets} offsets" for (group, topic), offsets in behind.items() if offsets)


async def _prove(
    session: aiohttp.ClientSession, settings: CliSettings, people: dict[str, DemoUser], report: Report, say: Tell
) -> None:
    gateway = settings.gateway_url
    say("comparing carriers, routes and users with the CSV and the commands")
    truth = flights_data.truth()
    report.checks += await prove.prove_delays(session, gateway, truth)
    check, user_events = await prove.prove_users(session, gateway, people)
    report.checks.append(check)
    report.flights = sum(row["flights"] for row in (await prove.get_json(session, f"{gateway}/carriers"))["items"])
    report.projected = report.flights + user_events
    say("verifying the archive against the topics")
    verified = await verify_topics(settings, list(LOADED_TOPICS), quiet=True)
    expected = {
        FLIGHTS_TOPIC: sum(delays.flights for delays in truth.carriers.values()),
        "flights.reference": _count(flights_data.airlines(), flights_data.airports(), flights_data.planes()),
        "flights.weather": _count(flights_data.weather()),
        USERS_TOPIC: sum(user.version for user in people.values()),
    }
    report.events = sum(expected.values())
    report.archived = sum(row.records for row in verified)
    report.checks.append(prove.prove_archive(verified, expected))
    say("rebuilding flights into a new generation and comparing it with the old one")
    report.rebuild = await rebuild(settings, "flights", verify=True)
    report.checks.append(prove.prove_rebuild(report.rebuild))
    lag = await prove.get_json(session, f"{settings.health_url}/lag")
    report.checks.append(prove.prove_lag(lag["items"], GROUPS))
    report.lag_records = sum(row["lag_records"] for row in lag["items"] if row["group"] in GROUPS)


def _count(*sources: Iterable[Event]) -> int:
    return sum(1 for _ in itertools.chain(*sources))


async def measure_visible_ms(session: aiohttp.ClientSession, gateway: str, samples: int = LATENCY_SAMPLES) -> float:
    """Median milliseconds from sending a registration to a query that answers with the user, one at a time."""
    took: list[float] = []
    run = time.time_ns()
    for sample in range(samples):
        body = {"email": f"latency-{run}-{sample}@demo.atlas.example", "display_name": "Latency probe"}
        begun = time.perf_counter()
        async with session.post(f"{gateway}/users", json=body) as response:
            answer, token = await response.json(), response.headers["Atlas-Token"]
        async with session.get(f"{gateway}/users/{answer['user_id']}", headers={"Atlas-Token": token}) as response:
            if response.status != 200:
                raise CommandError(f"user {answer['user_id']} did not become visible: {await response.text()}")
        took.append((time.perf_counter() - begun) * 1000)
    return round(median(took), 2)
