"""The relaying side as one object on one connection: what a relay's loop asks of the outbox."""

from collections.abc import Collection, Mapping, Sequence

from atlas_outbox import batches, horizon, leases, parking
from atlas_outbox.batches import Claim, Want
from atlas_outbox.horizon import Look
from atlas_outbox.leases import LeaseState
from atlas_outbox.parking import Key
from atlas_outbox.sent import Sent
from atlas_outbox.session import Connection


class Reader:
    """The functions of batches, leases and parking bound to a connection; used by one task at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def look(self) -> Look:
        """See horizon.look."""
        return await horizon.look(self._connection)

    async def claim(self, wants: Sequence[Want], *, max_bytes: int) -> Claim:
        """See batches.claim."""
        return await batches.claim(self._connection, wants, max_bytes=max_bytes)

    async def delete(self, epochs: Mapping[int, int], ids: Sequence[int], *, durable: bool) -> set[int]:
        """See batches.delete."""
        return await batches.delete(self._connection, epochs, ids, durable=durable)

    async def delete_sent(self, sent: Sequence[Sent]) -> int:
        """See batches.delete_sent."""
        return await batches.delete_sent(self._connection, sent)

    async def senders(self, groups: Collection[int]) -> dict[int, str | None]:
        """See leases.senders."""
        return await leases.senders(self._connection, groups)

    async def set_sender(
        self, epochs: Mapping[int, int], former: Mapping[int, str | None], sender: str | None
    ) -> set[int]:
        """See leases.set_sender."""
        return await leases.set_sender(self._connection, epochs, former, sender)

    async def states(self, groups: Collection[int]) -> dict[int, LeaseState]:
        """See leases.states."""
        return await leases.states(self._connection, groups)

    async def park(self, lease: tuple[int, int, int], errors: Mapping[int, str | None]) -> bool:
        """See parking.park."""
        return await parking.park(self._connection, lease, errors)

    async def parked_keys(self, group: int) -> dict[Key, int]:
        """See parking.parked_keys."""
        return await parking.parked_keys(self._connection, group)
