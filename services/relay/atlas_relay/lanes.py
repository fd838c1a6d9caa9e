"""A lane: one connection, one producer, and the groups it relays, through every fault."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import asyncpg
import structlog
from atlas_errors.backoff import Backoff
from atlas_errors.metrics import RETRIES
from atlas_errors.policy import Fate, describe, fate_of
from atlas_outbox.relaying.session import open_session
from atlas_outbox.relaying.store import Store
from atlas_runtime.serving.probes import Health

from atlas_relay.batch_loop import BatchLoop
from atlas_relay.protocol import Caution, Refused
from atlas_relay.sending.sender import Sender, SenderConfig, open_sender
from atlas_relay.topics import Topics
from atlas_relay.waiting import first_of

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LaneConfig:
    """`dsn` with a password in it must not be logged."""

    name: str
    dsn: str
    sender: SenderConfig
    rows: int
    bytes: int
    poll_s: float
    max_record_bytes: int


class Lane:
    """Relays the groups that `assign` names; what it really has in hand is `held`.

    `taken` is that and what it is about to take in hand: no other lane may have any of it.
    """

    def __init__(self, config: LaneConfig, health: Health) -> None:
        self._config = config
        self._health = health
        self._caution = Caution(config.rows)
        self._topics = Topics(config.max_record_bytes, config.sender.progress_topic)
        self._wanted: dict[int, int] = {}
        self._wake = asyncio.Event()
        self._sender: Sender | None = None
        self._backoff = Backoff()
        self._loop = health.loops.add(config.name)
        self.changed = asyncio.Event()
        # Told after each batch whether it was full.
        self.on_batch: Callable[[bool], None] = lambda _full: None
        self.held: dict[int, int] = {}
        self.taken: dict[int, int] = {}

    def assign(self, epochs: Mapping[int, int]) -> None:
        """Relay these groups, by epoch, and no others, from the end of the cycle under way."""
        if dict(epochs) != self._wanted:
            self._wanted = dict(epochs)
            self._wake.set()

    def wake(self) -> None:
        """There may be new rows."""
        self._wake.set()

    async def fault(self) -> str | None:
        """Why this lane could not relay just now: a quiet one does not notice that the brokers are away."""
        return await self._sender.fault() if self._sender is not None else "not connected"

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop`; the batch under way is finished first.

        A fault that can pass ends connection and producer; then the lane backs off and begins anew with what it finds
        pending. Other errors are raised.
        """
        while not stop.is_set():
            try:
                self._loop.does("connect")
                async with (
                    open_session(self._config.dsn) as connection,
                    open_sender(self._config.sender, self._topics, self._caution) as sender,
                ):
                    self._sender = sender
                    batches = BatchLoop(Store(connection), sender, self._caution, self._config.bytes)
                    await self._adjust(batches)
                    await self._relay(batches, stop)
            except Refused as refusal:
                log.warning("records refused; trying fewer", lane=self._config.name, error=str(refusal))
            except Exception as error:
                if fate_of(error) is not Fate.TRANSIENT and not isinstance(error, asyncpg.InternalClientError):
                    raise
                self._note(error)
                await self._backoff.wait(stop)
            finally:
                self._sender = None
                self._hold({})

    async def _relay(self, batches: BatchLoop, stop: asyncio.Event) -> None:
        """The loop: adjust to what is assigned, move batches while there are any, wait for a nudge."""
        while not stop.is_set():
            self._wake.clear()
            self._loop.does("relay rows")
            await self._adjust(batches)
            moved = bool(batches.groups) and await batches.cycle()
            # Only now: to connect is not yet to get through.
            self._backoff.reset()
            self._health.note(self._config.name, None)
            if moved:
                self._loop.moved()
                self.on_batch(batches.full)
            else:
                self._loop.waits("rows")
                # The time is for writers that send no nudge, and for nudges that got lost.
                await first_of(self._wake, stop, within_s=self._config.poll_s)
        await batches.leave(batches.groups)

    async def _adjust(self, batches: BatchLoop) -> None:
        have = {group: state.epoch for group, state in batches.groups.items()}
        wanted = dict(self._wanted)
        # Before anything is waited for: meanwhile a group could be given to another lane.
        self.taken = {**have, **wanted}
        await batches.leave([group for group in have if wanted.get(group) != have[group]])
        new = {group: epoch for group, epoch in wanted.items() if have.get(group) != epoch}
        if new:
            await batches.adopt(new)
        now = {group: state.epoch for group, state in batches.groups.items()}
        if have != wanted or self.held != wanted:
            self._hold(now)
        self.taken = now

    def _hold(self, epochs: Mapping[int, int]) -> None:
        self.held = self.taken = dict(epochs)
        self.changed.set()

    def _note(self, error: BaseException) -> None:
        RETRIES.labels("relay lane").inc()
        log.warning("will try again", lane=self._config.name, attempt=self._backoff.failures + 1, error=describe(error))
        self._health.note(self._config.name, describe(error))
        self._loop.waits(describe(error))


def held_by(lanes: Collection[Lane]) -> set[int]:
    """The groups that any lane has in hand."""
    return {group for lane in lanes for group in lane.held}
