"""What a context shows in `atlas demo` and `atlas seed`: what it sends, what must be equal then, where to look.

A context names its class under its own name:

    [project.entry-points."atlas.demo"]
    bookings = "atlas_bookings.demo:BookingsDemo"

The CLI sends, waits until projections and archive have all of it, and compares; the class knows the events.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

Event = tuple[str, dict[str, Any]]

AT_ONCE = 8


class DemoFailed(Exception):
    """The demo can't go on; the message says on one line what is missing or was refused, and what to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gateway answered to a request that it did not refuse: a JSON object."""

    body: dict[str, Any]
    headers: Mapping[str, str]

    def header(self, name: str) -> str:
        """Raises DemoFailed when it is missing."""
        if name not in self.headers:
            raise DemoFailed(f"the gateway answers without {name}: {self.body!r:.300}")
        return self.headers[name]


class Gateway(Protocol):
    """The gateway of the running mesh, over HTTP."""

    async def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send `body` as JSON; `path` begins with a slash and may have a query.

        Raises DemoFailed, with the gateway's own words, for a status of 400 and above and for what is no JSON object.
        """
        ...


Request = Callable[[Gateway], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the proof: how many things were compared and which of them differ."""

    what: str
    compared: int
    differences: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether all is equal; nothing compared proves nothing."""
        return self.compared > 0 and not self.differences


@dataclass(frozen=True, slots=True)
class Proof:
    """What a context found in its read models.

    `records`: how many each topic has at least, told from what was to be sent and not from the topic; the archive is
    held against it. `projected`: of how many events the rows are made.
    """

    checks: tuple[Check, ...]
    records: Mapping[str, int]
    projected: int


class Demo(ABC):
    """One run with `size` of what the context counts: bookings, orders.

    To run it again must do nothing twice. Commands carry an Idempotency-Key of their own; of posted events `atlas demo`
    leaves out those whose key is on the topic already.
    """

    # How many, unless whoever runs it says another number.
    demo_size: ClassVar[int]
    seed_size: ClassVar[int]
    # Paths of the gateway where a person sees what came of it.
    look: ClassVar[tuple[str, ...]] = ()
    # The read models that the demo rebuilds at the end: each must have the same rows then.
    rebuilds: ClassVar[tuple[str, ...]] = ()

    def __init__(self, size: int) -> None:
        self.size = size

    def events(self) -> Mapping[str, Callable[[], Iterable[Event]]]:
        """What is posted, by topic. The key of these events has to be a field of text or a whole number."""
        return {}

    def commands(self) -> Mapping[str, Iterable[Request]]:
        """What is asked of the gateway, by the topic that the events of it go to. Some requests run at once."""
        return {}

    def probes(self) -> Iterable[Request]:
        """Each writes something new and reads it back at once; how long that takes is measured, one after the other."""
        return ()

    @abstractmethod
    async def prove(self, gateway: Gateway) -> Proof:
        """Compare what the gateway answers with what was sent. Projections and archive have all of it by now."""


async def ask_all(gateway: Gateway, requests: Iterable[Request]) -> None:
    """Make every request, AT_ONCE of them at a time; raises an ExceptionGroup of the first that fails."""
    waiting = iter(requests)

    async def worker() -> None:
        # One iterator feeds all workers: next() has no await in it, so a request goes to one worker only.
        for request in waiting:
            await request(gateway)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())
