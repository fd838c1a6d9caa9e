"""Proving: what the mesh answers beside what the CSV and the commands say."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from atlas_archive.reports import TopicReport

from atlas_cli.demo.load import DemoUser
from atlas_cli.flights_data import Delays, Truth
from atlas_cli.output import CommandError

# The gateway's means are doubles made from the same integers; a last-digit difference is not a difference of data.
RELATIVE_ERROR_MAX = 1e-12
USERS_IN_FLIGHT = 8
COUNTED = ("flights", "departed", "cancelled")
MEANS = ("mean_departure_delay_minutes", "mean_arrival_delay_minutes")


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the proof: how many things were compared and which of them differ."""

    what: str
    compared: int
    differences: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return self.compared > 0 and not self.differences


async def get_json(session: aiohttp.ClientSession, url: str) -> Any:
    """The JSON at `url`; CommandError with the problem's own words when it is not to be had."""
    async with session.get(url) as response:
        answer = await response.json(content_type=None)
        if response.status >= 400:
            detail = answer.get("detail", answer) if isinstance(answer, dict) else answer
            raise CommandError(f"GET {url}: {response.status} {detail}")
        return answer


async def prove_delays(session: aiohttp.ClientSession, gateway: str, truth: Truth) -> list[Check]:
    """Per carrier and per route: the numbers of flights and the mean delays equal those of the CSV."""
    # 16 carriers and 224 routes: one page of each holds all.
    carriers = {row["carrier"]: row for row in (await get_json(session, f"{gateway}/carriers?limit=500"))["items"]}
    routes = {
        (row["origin"], row["destination"]): row
        for row in (await get_json(session, f"{gateway}/routes?limit=500"))["items"]
    }
    return [
        _compare("carriers: flights and mean delays", truth.carriers, carriers),
        _compare("routes: flights and mean delays", truth.routes, routes),
    ]


def _compare(what: str, expected: Mapping[Any, Delays], found: Mapping[Any, Mapping[str, Any]]) -> Check:
    differences = [f"{key}: not in the CSV" for key in found.keys() - expected.keys()]
    for key, delays in expected.items():
        row = found.get(key)
        if row is None:
            differences.append(f"{key}: missing")
            continue
        differences += [
            f"{key}: {name} is {row[name]}, in the CSV {getattr(delays, name)}"
            for name in (*COUNTED, *MEANS)
            if not _same(row[name], getattr(delays, name))
        ]
    return Check(what, len(expected), tuple(differences))


def _same(found: float | None, expected: float | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return abs(found - expected) <= RELATIVE_ERROR_MAX * max(1.0, abs(expected))


async def prove_users(session: aiohttp.ClientSession, gateway: str, users: Mapping[str, DemoUser]) -> tuple[Check, int]:
    """Every user is as its commands left it; answers also how many events the users' rows are made of."""
    differences: list[str] = []
    events = 0
    waiting = iter(users.items())

    async def worker() -> None:
        nonlocal events
        for user_id, user in waiting:
            row = await get_json(session, f"{gateway}/users/{user_id}")
            events += int(row.get("version", 0))
            expected = {"version": user.version, "display_name": user.display_name, "status": user.status}
            found = {name: row.get(name) for name in expected}
            if found != expected:
                differences.append(f"user {user_id}: {found}, expected {expected}")

    async with asyncio.TaskGroup() as group:
        for _ in range(USERS_IN_FLIGHT):
            group.create_task(worker())
    return Check("users: name, status, version", len(users), tuple(differences)), events


def prove_archive(reports: Sequence[TopicReport], expected: Mapping[str, int]) -> Check:
    """The archive's own verification finds nothing wrong, and it holds every record that was produced.

    A topic may hold more than the demo's records: people go on to use the mesh.
    """
    archived = {report.topic: report.records for report in reports}
    differences = [f"{report.topic}: {problem}" for report in reports for problem in report.problems]
    for topic, records in expected.items():
        found = archived.get(topic, 0)
        if found < records:
            differences.append(f"{topic}: {found} records archived, {records} produced")
    return Check("archive: complete, equal to the topics", sum(expected.values()), tuple(differences))


def prove_rebuild(report: Mapping[str, Any]) -> Check:
    """The new generation has the rows of the old one."""
    different = int(report["different_rows"])
    return Check(
        "rebuild of flights: identical rows",
        int(report["rows"]),
        () if report["identical"] else (f"{different} rows differ between the generations",),
    )


def prove_lag(rows: Iterable[Mapping[str, Any]], groups: Iterable[str]) -> Check:
    """No group of the mesh has a record left to read."""
    watched = [row for row in rows if row["group"] in set(groups)]
    behind = tuple(
        f"{row['group']} {row['topic']}/{row['partition']}: {row['lag_records']} records"
        for row in watched
        if row["lag_records"]
    )
    return Check("lag: zero in every partition", len(watched), behind)
