"""Holds: why nothing of a topic may be given up, nor removed once it was given up."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from atlas_archive.store import MissingObject, ObjectStore

HOLDS = "holds/"


class UnderHold(Exception):
    """A hold forbids to give anything of the topic up."""

    def __init__(self, topic: str, hold: "Hold") -> None:
        super().__init__(f"{topic} is under hold {hold.name}, placed {hold.placed_at}: {hold.reason}")
        self.hold = hold


@dataclass(frozen=True, slots=True)
class Hold:
    """Why nothing of a topic, in any incarnation, may be given up; `placed_at` in RFC 3339."""

    topic: str
    name: str
    reason: str
    placed_at: str

    @property
    def key(self) -> str:
        return f"{HOLDS}{self.topic}/{self.name}.json"


async def holds(store: ObjectStore, topic: str | None = None) -> list[Hold]:
    """The holds on a topic, or all, by topic and name."""
    found = []
    async for item in store.list(HOLDS if topic is None else f"{HOLDS}{topic}/"):
        with suppress(MissingObject):  # released since it was listed
            found.append(Hold(**orjson.loads(await store.get(item.key))))
    return found


async def place_hold(store: ObjectStore, topic: str, name: str, reason: str) -> Hold | None:
    """Place a hold; None when the topic has one of that name."""
    hold = Hold(topic, name, reason, datetime.now(UTC).isoformat(timespec="seconds"))
    fields = {"topic": hold.topic, "name": hold.name, "reason": hold.reason, "placed_at": hold.placed_at}
    return hold if await store.put_if_absent(hold.key, orjson.dumps(fields)) else None


async def release_hold(store: ObjectStore, topic: str, name: str) -> bool:
    """Take a hold away; False when there is none of that name."""
    found = any(hold.name == name for hold in await holds(store, topic))
    if found:
        await store.delete(Hold(topic, name, "", "").key)
    return found
