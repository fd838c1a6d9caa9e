"""The gateway as anybody sees it: canaries go in by its commands and posts, and are looked for by its queries."""

import random
from typing import Any

import aiohttp
import orjson
from atlas_contracts.canary import PATH, POSTED, READ_MODEL

from atlas_health_aggregator.canary.journeys import Place

# The gateway waits for a position as short as it can, which is 0.25 s: each look costs that while a projector is away.
_BRIEFLY = {"Prefer": "wait=0"}
# An id that no canary has. A row that is asked for with a token is put into the cache: queries without one would see it
# there, and nobody would notice that the cache is told of nothing.
_NOBODY = "nobody"
_NOT_YET = "not-yet-visible"
# Another 404 is of a gateway that has no canaries.
_NO_ROW = "There is no canary "
_SHOWN = 200


class Unanswered(Exception):
    """The gateway did not do, or say, what it was asked for; the message says how it answered."""


class Gateway:
    """Asks the gateway at `url`; any method may raise Unanswered, at the latest after the session's time-out."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/")

    async def command(self, canary_id: str, number: int) -> None:
        """Send a canary as a command; it is in the outbox after this."""
        await self._expect(202, "POST", PATH, json={"canary_id": canary_id, "number": number})

    async def post(self, topic: str, canary_id: str, number: int) -> None:
        """Post a canary as an event; the brokers have it after this."""
        event = {"type": POSTED, "value": {"canary_id": canary_id, "number": number}}
        await self._expect(200, "POST", f"/topics/{topic}", json=event)

    async def passed(self, place: Place) -> bool:
        """Whether the projection has passed a record, from the read model itself."""
        token = f"{READ_MODEL}:{place.topic}/{place.partition}@{place.offset}"
        status, answer = await self._ask("GET", f"{PATH}/{_NOBODY}", headers={"Atlas-Token": token, **_BRIEFLY})
        if status == 503 and str(answer.get("type")).endswith(_NOT_YET):
            return False
        if status != 200 and not _has_no_row(status, answer):
            raise Unanswered(_told("GET", PATH, status, answer))
        return True

    async def seen(self, canary_id: str) -> frozenset[int]:
        """The canaries that a plain query shows, through the cache."""
        status, answer = await self._ask("GET", f"{PATH}/{canary_id}")
        if _has_no_row(status, answer):
            return frozenset()
        if status != 200 or not isinstance(answer.get("recent"), list):
            raise Unanswered(_told("GET", PATH, status, answer))
        return frozenset(int(number) for number in answer["recent"])

    async def _expect(self, wanted: int, method: str, path: str, **more: Any) -> None:
        status, answer = await self._ask(method, path, **more)
        if status != wanted:
            raise Unanswered(_told(method, path, status, answer))

    async def _ask(self, method: str, path: str, **more: Any) -> tuple[int, dict[str, Any]]:
        headers = {"traceparent": _unrecorded(), **more.pop("headers", {})}
        try:
            async with self._session.request(method, self._url + path, headers=headers, **more) as response:
                answer = orjson.loads(await response.read() or b"{}")
                return response.status, answer if isinstance(answer, dict) else {}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unanswered(f"{method} {path}: {str(error) or type(error).__name__}") from error


def _unrecorded() -> str:
    """A traceparent whose trace nobody records: a trace a second would be noise among those of people."""
    return f"00-{random.getrandbits(128) or 1:032x}-{random.getrandbits(64) or 1:016x}-00"


def _has_no_row(status: int, answer: dict[str, Any]) -> bool:
    return status == 404 and str(answer.get("detail")).startswith(_NO_ROW)


def _told(method: str, path: str, status: int, answer: dict[str, Any]) -> str:
    return f"{method} {path}: {status} {str(answer.get('detail') or answer.get('title') or '')[:_SHOWN]}".rstrip()
