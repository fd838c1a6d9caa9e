"""Loading: events over HTTP in large chunks, users one command at a time."""

import asyncio
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from atlas_cli.asking import read_object
from atlas_cli.output import CommandError

Event = tuple[str, dict[str, Any]]

CHUNK_EVENTS = 4_000
CHUNKS_IN_FLIGHT = 4
USERS_IN_FLIGHT = 8

COUNTRIES = ("AT", "BR", "CA", "DE", "FR", "GB", "IN", "JP", "MX", "US")


@dataclass
class Progress:
    """What the loaders have done so far; the live view reads it."""

    events: dict[str, int] = field(default_factory=dict)
    expected: dict[str, int] = field(default_factory=dict)
    commands: int = 0
    users: int = 0
    users_expected: int = 0
    first_request: float | None = None
    last_answer: float | None = None

    def answered(self) -> None:
        """Note that an answer came just now."""
        self.last_answer = time.monotonic()

    def asking(self) -> None:
        """Note that a request goes out now."""
        if self.first_request is None:
            self.first_request = time.monotonic()


async def post_events(
    session: aiohttp.ClientSession, gateway: str, topic: str, events: Iterable[Event], progress: Progress
) -> None:
    """Post every event to the topic as NDJSON, a few chunks at a time.

    Raises CommandError with the gateway's own words for the first event that it refuses.
    """
    chunks = _chunks(events)
    progress.events.setdefault(topic, 0)

    async def worker() -> None:
        # One generator feeds all workers: next() has no await in it, so a chunk goes to one worker only.
        for chunk in chunks:
            progress.asking()
            await _post_chunk(session, f"{gateway}/topics/{topic}", chunk)
            progress.events[topic] += len(chunk)
            progress.answered()

    async with asyncio.TaskGroup() as group:
        for _ in range(CHUNKS_IN_FLIGHT):
            group.create_task(worker())


def _chunks(events: Iterable[Event]) -> Iterator[Sequence[Event]]:
    iterator = iter(events)
    while chunk := list(itertools.islice(iterator, CHUNK_EVENTS)):
        yield chunk


async def _post_chunk(session: aiohttp.ClientSession, url: str, chunk: Sequence[Event]) -> None:
    body = b"\n".join(orjson.dumps({"type": kind, "value": value}) for kind, value in chunk)
    async with session.post(url, data=body, headers={"Content-Type": "application/x-ndjson"}) as response:
        answer = await read_object(response, url)
    failed = answer.get("failed", len(chunk))
    if failed:
        results = answer.get("results")
        errors = [result["error"] for result in results or () if "error" in result] if _are_objects(results) else []
        raise CommandError(
            f"{url} refused {failed} of {len(chunk)} events; the first: {errors[0] if errors else answer}"
        )


def _are_objects(results: object) -> bool:
    return isinstance(results, list) and all(isinstance(result, dict) for result in results)


@dataclass(frozen=True, slots=True)
class DemoUser:
    """A user as the demo leaves it: registered, perhaps changed, perhaps deactivated."""

    number: int

    @property
    def registration(self) -> dict[str, str]:
        return {
            "email": f"traveller-{self.number:05d}@demo.atlas.example",
            "display_name": f"Traveller {self.number}",
            "country": COUNTRIES[self.number % len(COUNTRIES)],
        }

    @property
    def change(self) -> dict[str, str] | None:
        """Every third user takes another name."""
        return {"display_name": f"Frequent Traveller {self.number}"} if self.number % 3 == 0 else None

    @property
    def leaves(self) -> bool:
        """Every tenth user closes the account."""
        return self.number % 10 == 0

    @property
    def version(self) -> int:
        return 1 + (self.change is not None) + self.leaves

    @property
    def display_name(self) -> str:
        return (self.change or self.registration)["display_name"]

    @property
    def status(self) -> str:
        return "deactivated" if self.leaves else "active"


async def register_users(
    session: aiohttp.ClientSession, gateway: str, count: int, progress: Progress
) -> dict[str, DemoUser]:
    """Run every command of `count` users; answers the users by their id.

    Each command carries an Idempotency-Key of its own, so a second demo on the same mesh repeats no effect.
    """
    numbers = iter(range(1, count + 1))
    users: dict[str, DemoUser] = {}
    progress.users_expected = count

    async def worker() -> None:
        for number in numbers:
            user = DemoUser(number)
            users[await _run_commands(session, gateway, user, progress)] = user
            progress.users += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(USERS_IN_FLIGHT):
            group.create_task(worker())
    return users


async def _run_commands(session: aiohttp.ClientSession, gateway: str, user: DemoUser, progress: Progress) -> str:
    answer, etag = await _command(
        session, "POST", f"{gateway}/users", user.registration, f"demo-{user.number}-register"
    )
    if not isinstance(answer.get("user_id"), str):
        raise CommandError(f"{gateway}/users answers without a user_id: {answer!r:.300}")
    progress.commands += 1
    user_url = f"{gateway}/users/{answer['user_id']}"
    if user.change is not None:
        key = f"demo-{user.number}-change"
        _, etag = await _command(session, "PATCH", f"{user_url}/profile", user.change, key, etag)
        progress.commands += 1
    if user.leaves:
        key = f"demo-{user.number}-deactivate"
        await _command(session, "POST", f"{user_url}/deactivate", {"reason": "moved on"}, key, etag)
        progress.commands += 1
    progress.answered()
    return str(answer["user_id"])


async def _command(
    session: aiohttp.ClientSession, method: str, url: str, body: dict[str, str], key: str, etag: str = ""
) -> tuple[dict[str, Any], str]:
    headers = {"Idempotency-Key": key} | ({"If-Match": etag} if etag else {})
    async with session.request(method, url, json=body, headers=headers) as response:
        answer = await read_object(response, url)
        if response.status >= 400:
            raise CommandError(f"{method} {url}: {response.status} {answer.get('detail', answer)}")
        return answer, response.headers.get("ETag", "")
