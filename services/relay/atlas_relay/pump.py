"""The batch protocol: claim, send, finish; and what a new owner does about a batch it finds half done."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID, uuid4

from atlas_outbox.batches import Claim, Pending, Row, Want, slices_of
from atlas_outbox.horizon import Horizon, Look
from atlas_outbox.leases import LeaseState
from atlas_outbox.parking import Key

from atlas_relay.metrics import BATCHES, PARKED, RECOVERED, ROWS_SENT, SEND_SECONDS
from atlas_relay.protocol import Caution, Refused, rows_to_park, was_sent

# How often a busy pump asks which ids are settled: between two looks a claim walks over what was sent since.
_LOOK_EVERY_S = 0.25


class Store(Protocol):
    """The outbox as a pump sees it; atlas_outbox.reader.Reader says what each promises."""

    async def look(self) -> Look: ...
    async def claim(self, wants: Sequence[Want], *, max_bytes: int) -> Claim: ...
    async def pledge(
        self, leases: Mapping[int, tuple[int, int]], rows: Sequence[Row], batch: tuple[UUID, str]
    ) -> set[int]: ...
    async def finish(self, epochs: Mapping[int, int], token: UUID) -> set[int]: ...
    async def forget(self, epochs: Mapping[int, int], token: UUID) -> set[int]: ...
    async def delete(self, epochs: Mapping[int, int], rows: Sequence[Row]) -> set[int]: ...
    async def pending(self, groups: Collection[int]) -> list[Pending]: ...
    async def states(self, groups: Collection[int]) -> dict[int, LeaseState]: ...
    async def park(self, lease: tuple[int, int, int], errors: Mapping[int, str | None]) -> bool: ...
    async def parked_keys(self, group: int) -> dict[Key, int]: ...


class Channel(Protocol):
    """Kafka as a pump sees it; atlas_relay.sender.Sender says what each promises."""

    transactional_id: str | None

    async def learn(self, topics: Collection[str]) -> None: ...
    def forget_missing(self) -> None: ...
    def suspects(self, rows: Sequence[Row]) -> bool: ...
    def reason_against(self, row: Row) -> str | None: ...
    async def sent_tokens(self, pending: Sequence[Pending]) -> dict[int, UUID]: ...
    async def begin(self, rows: Sequence[Row], token: UUID) -> None: ...
    async def send(self, rows: Sequence[Row], token: UUID) -> None: ...


@dataclass(slots=True)
class _Group:
    epoch: int
    revision: int
    parked: dict[Key, int]
    floor: int = 0


@dataclass(slots=True)
class Pump:
    """Moves the rows of its groups with one connection and one producer. After an error it is spent: make a new one."""

    store: Store
    channel: Channel
    caution: Caution
    max_bytes: int
    groups: dict[int, _Group] = field(default_factory=dict)
    look_every_s: float = _LOOK_EVERY_S
    _horizon: Horizon = field(default_factory=Horizon)
    _look_at: float = 0.0

    async def adopt(self, epochs: Mapping[int, int]) -> None:
        """Begin to relay these groups, held with these epochs.

        1. What is pending: batches whose owner may have crashed anywhere between claim and finish.
        2. Fence their producers, which ends their transactions, and read each group's last committed mark.
        3. The mark has the batch's token: it was sent, so finish it. Otherwise it was not and never will be: forget it,
           and its rows are claimed again.
        """
        pending = await self.store.pending(list(epochs))  # 1
        sent = await self.channel.sent_tokens(pending) if pending else {}  # 2
        for batch in pending:  # 3
            epoch = {batch.group: epochs[batch.group]}
            if was_sent(batch.token, sent.get(batch.group)):
                await self.store.finish(epoch, batch.token)
                RECOVERED.labels("sent").inc()
            else:
                await self.store.forget(epoch, batch.token)
                RECOVERED.labels("not_sent").inc()
        await self._load(epochs)

    def drop(self, groups: Collection[int]) -> None:
        """Relay these groups no more. Nothing of them is under way between two cycles."""
        for group in groups:
            self.groups.pop(group, None)

    async def cycle(self) -> bool:
        """Move one batch; False when there was nothing to move.

        1. Claim: read each group's first visible rows, and set those aside that can't be sent.
        2. Pledge: the rest become each group's pending batch, durably, in one transaction. The Kafka transaction is
           begun meanwhile, without a record in it.
        3. Send: one Kafka transaction with the records and a mark with the batch's token for each group.
        4. Finish: the rows and the pending batches are deleted in one transaction.

        A crash after 2 leaves a batch that `adopt` forgets, after 3 one that it finishes. At least once, there are
        no pending batches and no marks, and a crash after 3 sends the rows again.
        """
        wanted = set(self.groups)
        claim = await self._claim()  # 1
        if not claim.rows:
            # A group that did not match may have rows as it is known now.
            return not wanted <= set(claim.groups)
        rows = claim.rows
        await self.channel.learn({row[3] for row in rows})
        if aside := self._aside(rows):
            await self._park(aside)
            return True
        token = uuid4()
        await self.channel.begin(rows, token)
        rows = await self._pledge(rows, token)  # 2
        if rows:
            await self._send(rows, token)  # 3
            await self._finish(rows, token)  # 4
            self.caution.arrived()
            await self._look()
        return True

    async def _claim(self) -> Claim:
        rows_each = max(1, self.caution.rows // max(1, len(self.groups)))
        wants = [Want(g, state.epoch, state.revision, rows_each, state.floor) for g, state in self.groups.items()]
        claim = await self.store.claim(wants, max_bytes=max(1, self.max_bytes // max(1, len(wants))))
        self._raise_floors(claim)
        await self._reconcile(set(self.groups) - set(claim.groups))
        return claim

    async def _look(self) -> None:
        if time.monotonic() >= self._look_at:
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

    async def _pledge(self, rows: Sequence[Row], token: UUID) -> Sequence[Row]:
        """The rows that may be sent: those of groups that are still as they were when the rows were claimed."""
        if self.channel.transactional_id is None:
            return rows
        groups = {row[0] for row in rows}
        leases = {group: (self.groups[group].epoch, self.groups[group].revision) for group in groups}
        pledged = await self.store.pledge(leases, rows, (token, self.channel.transactional_id))
        if pledged == groups:
            return rows
        await self._reconcile(groups - pledged)
        return [row for row in rows if row[0] in pledged]

    async def _send(self, rows: Sequence[Row], token: UUID) -> None:
        try:
            with SEND_SECONDS.time():
                await self.channel.send(rows, token)
        except Refused as refusal:
            self.caution.refused(refusal)
            if refusal.delivered:
                delivered = set(refusal.delivered)
                await self.store.delete(self._epochs(), [row for row in rows if row[1] in delivered])
            raise

    async def _finish(self, rows: Sequence[Row], token: UUID) -> None:
        epochs = self._epochs({row[0] for row in rows})
        if self.channel.transactional_id is None:
            held = await self.store.delete(epochs, rows)
        else:
            held = await self.store.finish(epochs, token)
        ROWS_SENT.inc(len(rows))
        BATCHES.inc()
        self.drop(set(epochs) - held)

    async def _park(self, aside: Mapping[int, Mapping[int, str | None]]) -> None:
        """Park rows and give the whole claim up: what is left of it is claimed again."""
        for group, errors in aside.items():
            state = self.groups[group]
            if await self.store.park((group, state.epoch, state.revision), errors):
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
