"""The batch protocol: claim, send, delete; and what a new owner does about what it finds half done."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import Protocol

from atlas_outbox.parking import Key
from atlas_outbox.relaying.batches import FLUSH_FROM_ROWS, Claim, Want, slices_of
from atlas_outbox.relaying.horizon import Horizon
from atlas_outbox.relaying.sent import Row, Sent, sent_of
from atlas_outbox.relaying.store import Store
from atlas_runtime.metrics import timed, timed_query
from atlas_runtime.observing.batch_spans import Members, batch_span, of_packed
from atlas_runtime.observing.logs import debugging

from atlas_relay.metrics import BATCH_ROWS, BATCHES, PARKED, RECOVERED, ROWS_SENT, SEND_SECONDS
from atlas_relay.protocol import Caution, Refused, rows_to_park

# How often a busy batch loop asks which ids are settled: between two looks a claim walks over what was sent since.
_LOOK_EVERY_S = 0.25
# So many batches may be deleted without waiting for PostgreSQL's disk before one is waited for. Each mark lists them.
UNSURE_MAX = 16
# For thousands of rows at a time; see atlas_outbox.relaying.sent.Row.
_GROUP, _ID, _TOPIC = itemgetter(0), itemgetter(1), itemgetter(3)
_HEADERS: Callable[[Row], bytes] = itemgetter(6)


def _members(rows: Sequence[Row]) -> Members:
    every = debugging()
    for row in rows:
        if (text := of_packed(_HEADERS(row), every=every)) is not None:
            yield text, {"topic": _TOPIC(row)}


class Channel(Protocol):
    """Kafka as the batch loop sees it; atlas_relay.sending.sender.Sender says what each promises."""

    name: str | None

    async def learn(self, topics: Collection[str]) -> None: ...
    def forget_missing(self) -> None: ...
    def suspects(self, rows: Sequence[Row]) -> bool: ...
    def reason_against(self, row: Row) -> str | None: ...
    async def last_marks(self, senders: Collection[str]) -> list[Sent]: ...
    async def forget_marks(self, senders: Collection[str]) -> None: ...
    async def send(self, rows: Sequence[Row], sent: Sequence[Sent]) -> None: ...


@dataclass(slots=True)
class _Group:
    epoch: int
    revision: int
    parked: dict[Key, int]
    floor: int = 0


@dataclass(slots=True)
class BatchLoop:
    """Moves the rows of its groups with one connection and one producer. After an error it is spent: make a new one."""

    store: Store
    channel: Channel
    caution: Caution
    max_bytes: int
    groups: dict[int, _Group] = field(default_factory=dict)
    look_every_s: float = _LOOK_EVERY_S
    # Whether the last batch was all that it could be, or near it.
    full: bool = False
    _horizon: Horizon = field(default_factory=Horizon)
    _look_at: float = 0.0
    # What was sent and deleted, and may be back after a crash of PostgreSQL.
    _unsure: list[Sent] = field(default_factory=list)

    async def adopt(self, epochs: Mapping[int, int]) -> None:
        """Begin to relay these groups, held with these epochs.

        1. Who sent their rows before, and may have crashed anywhere between its send and its delete.
        2. Fence them, which ends their transactions, and read each one's last committed mark.
        3. Delete what the marks say was sent, durably. All other rows were not and never will be, but by us.
        4. Write down, durably, that we send their rows now; from then on nobody needs those marks.
        """
        names = await self.store.senders(list(epochs))  # 1
        former = {name for name in names.values() if name not in (None, self.channel.name)}
        if former:
            marks = await self.channel.last_marks(former)  # 2
            RECOVERED.inc(await self.store.delete_sent(marks))  # 3
        held = await self.store.set_sender(epochs, names, self.channel.name)  # 4
        if former:
            await self.channel.forget_marks(former)
        await self._load({group: epochs[group] for group in held})

    def drop(self, groups: Collection[int]) -> None:
        """These groups are another owner's by now."""
        for group in groups:
            self.groups.pop(group, None)

    async def leave(self, groups: Collection[int]) -> None:
        """Relay these groups no more. Nothing of them is half done between two cycles: that is written down, and nobody
        need fence us. With the last group our marks go too.
        """
        left, name = self._epochs(set(groups) & set(self.groups)), self.channel.name
        self.drop(left)
        if left and await self.store.set_sender(left, dict.fromkeys(left, name), None) and name and not self.groups:
            await self.channel.forget_marks([name])

    async def cycle(self) -> bool:
        """Move one batch; False when there was nothing to move.

        1. Claim: read each group's first visible rows, and set those aside that can't be sent.
        2. Send: one Kafka transaction with the records and a mark that says which rows they are, and which were sent
           before and may not be deleted for good.
        3. Delete the rows. Not waited for until it is on disk, unless they are many or it was not for long.

        A crash after 2, or one of PostgreSQL after 3, leaves rows of which the next owner finds in the mark that they
        were sent. At least once there are no marks, and such rows are sent again.
        """
        wanted = set(self.groups)
        claim = await self._claim()  # 1
        if not claim.rows:
            # A group that did not match may have rows as it is known now.
            return not wanted <= set(claim.groups)
        rows = claim.rows
        await self.channel.learn(set(map(_TOPIC, rows)))
        if aside := self._aside(rows):
            await self._park(aside)
            return True
        sent = [] if self.channel.name is None else [*self._unsure, sent_of(rows)]
        await self._send(rows, sent)  # 2
        await self._delete(rows, sent)  # 3
        self.caution.arrived()
        await self._look()
        return True

    async def _claim(self) -> Claim:
        rows_each = max(1, self.caution.rows // max(1, len(self.groups)))
        wants = [Want(g, state.epoch, state.revision, rows_each, state.floor) for g, state in self.groups.items()]
        with timed_query("outbox.claim"):
            claim = await self.store.claim(wants, max_bytes=max(1, self.max_bytes // max(1, len(wants))))
        self.full = len(claim.rows) >= rows_each
        self._raise_floors(claim)
        await self._reconcile(set(self.groups) - set(claim.groups))
        return claim

    async def _look(self) -> None:
        if time.monotonic() >= self._look_at:
            with timed_query("outbox.look"):
                self._horizon.saw(await self.store.look())
            self._look_at = time.monotonic() + self.look_every_s

    def _raise_floors(self, claim: Claim) -> None:
        firsts = {group: claim.rows[first - 1][1] for group, (first, _last) in slices_of(claim.rows).items()}
        for group in claim.groups:
            self.groups[group].floor = max(self.groups[group].floor, self._horizon.floor(firsts.get(group)))

    def _aside(self, rows: Sequence[Row]) -> dict[int, dict[int, str | None]]:
        parked = {group: state.parked for group, state in self.groups.items() if state.parked}
        if not parked and not self.channel.suspects(rows):
            return {}
        return rows_to_park(rows, parked, self.channel.reason_against)

    async def _send(self, rows: Sequence[Row], sent: Sequence[Sent]) -> None:
        try:
            with (
                batch_span("send outbox", "send", partial(_members, rows), {"records": len(rows)}),
                timed(SEND_SECONDS),
            ):
                await self.channel.send(rows, sent)
        except Refused as refusal:
            self.caution.refused(refusal)
            if refusal.delivered:
                await self.store.delete(self._epochs(), list(refusal.delivered), durable=True)
            raise

    async def _delete(self, rows: Sequence[Row], sent: Sequence[Sent]) -> None:
        durable = len(rows) >= FLUSH_FROM_ROWS or len(sent) >= UNSURE_MAX
        epochs = self._epochs(set(map(_GROUP, rows)))
        with timed_query("outbox.delete"):
            held = await self.store.delete(epochs, list(map(_ID, rows)), durable=durable)
        self._unsure = [] if durable else list(sent)
        ROWS_SENT.inc(len(rows))
        BATCHES.inc()
        BATCH_ROWS.observe(len(rows))
        self.drop(set(epochs) - held)

    async def _park(self, aside: Mapping[int, Mapping[int, str | None]]) -> None:
        """Park rows and give the whole claim up: what is left of it is claimed again."""
        for group, errors in aside.items():
            state = self.groups[group]
            with timed_query("outbox.park"):
                parked = await self.store.park((group, state.epoch, state.revision), errors)
            if parked:
                self.caution.parked(errors)
                PARKED.inc(len(errors))
        await self._load(self._epochs(set(aside)))

    async def _reconcile(self, changed: set[int]) -> None:
        """Groups that did not match: lost to another owner, or their parked rows changed under us."""
        if not changed:
            return
        states = await self.store.states(changed)
        lost = {group for group in changed if states[group].epoch != self.groups[group].epoch}
        self.drop(lost)
        # Somebody sends parked rows again, perhaps because the topic is there now.
        self.channel.forget_missing()
        await self._load(self._epochs(changed - lost))

    async def _load(self, epochs: Mapping[int, int]) -> None:
        # The revision first: when it rises between the two, the next claim does not match and this is done again.
        states = await self.store.states(list(epochs))
        for group, epoch in epochs.items():
            self.groups[group] = _Group(epoch, states[group].revision, await self.store.parked_keys(group))

    def _epochs(self, groups: Collection[int] | None = None) -> dict[int, int]:
        return {group: self.groups[group].epoch for group in (self.groups if groups is None else groups)}
