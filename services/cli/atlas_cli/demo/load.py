"""Loading: events over HTTP in large chunks, commands some at a time."""

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import orjson
from atlas_runtime.demo import Answer, Demo, DemoFailed, Event, Request, ask_all

from atlas_cli.asking import read_object

Wanted = Callable[[str, Iterable[Event]], Iterable[Event]]

CHUNK_EVENTS = 4_000
CHUNKS_IN_FLIGHT = 4


@dataclass
class Progress:
    """What was sent so far, by topic: events that were posted, commands that were answered. The live view reads it."""

    sent: dict[str, int] = field(default_factory=dict)
    first_request: float | None = None
    last_answer: float | None = None

    def answered(self, topic: str, count: int) -> None:
        """Note that an answer came just now, to so many."""
        self.sent[topic] = self.sent.get(topic, 0) + count
        self.last_answer = time.monotonic()

    def asking(self) -> None:
        """Note that a request goes out now."""
        if self.first_request is None:
            self.first_request = time.monotonic()


@dataclass(frozen=True, slots=True)
class HttpGateway:
    """What a demo asks by; see atlas_runtime.demo.Gateway. `url` has no slash at its end; `answered` hears of each
    command.
    """

    session: aiohttp.ClientSession
    url: str
    answered: Callable[[], None] = lambda: None

    async def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request and its answer; raises DemoFailed when it is refused."""
        async with self.session.request(method, f"{self.url}{path}", json=body, headers=headers) as response:
            answer = await read_object(response, f"{self.url}{path}")
        if response.status >= 400:
            raise DemoFailed(f"{method} {self.url}{path}: {response.status} {answer.get('detail', answer)}")
        if method != "GET":
            self.answered()
        return Answer(answer, response.headers)


def loading(
    gateway: HttpGateway, demo: Demo, progress: Progress, wanted: Wanted = lambda _, events: events
) -> list[Coroutine[Any, Any, None]]:
    """All that loads a demo, to run at once: a coroutine for each topic, which raises DemoFailed for what is refused.

    Of the events for a topic only those are posted that `wanted` gives.
    """
    posted = [_post(gateway, topic, wanted(topic, source()), progress) for topic, source in demo.events().items()]
    asked = [_ask(gateway, topic, requests, progress) for topic, requests in demo.commands().items()]
    return [*posted, *asked]


async def _ask(gateway: HttpGateway, topic: str, requests: Iterable[Request], progress: Progress) -> None:
    progress.asking()
    await ask_all(replace(gateway, answered=lambda: progress.answered(topic, 1)), requests)


async def _post(gateway: HttpGateway, topic: str, events: Iterable[Event], progress: Progress) -> None:
    """As NDJSON, a few chunks at a time."""
    chunks = _chunks(events)
    progress.sent.setdefault(topic, 0)

    async def worker() -> None:
        # One generator feeds all workers: next() has no await in it, so a chunk goes to one worker only.
        for chunk in chunks:
            progress.asking()
            await _post_chunk(gateway.session, f"{gateway.url}/topics/{topic}", chunk)
            progress.answered(topic, len(chunk))

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
        raise DemoFailed(f"{url} refused {failed} of {len(chunk)} events; the first: {errors[0] if errors else answer}")


def _are_objects(results: object) -> bool:
    return isinstance(results, list) and all(isinstance(result, dict) for result in results)
