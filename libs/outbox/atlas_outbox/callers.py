"""The caller's transaction, with whatever it is held: asyncpg, or SQLAlchemy on asyncpg.

Told apart by what they offer, not by type: who writes with asyncpg alone must not need SQLAlchemy.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, cast

from atlas_outbox.relaying.session import Connection


class SqlAlchemyConnection(Protocol):
    """What is used of sqlalchemy.ext.asyncio.AsyncConnection."""

    def in_transaction(self) -> bool: ...
    async def exec_driver_sql(self, statement: str, parameters: Any) -> Any: ...


class SqlAlchemySession(Protocol):
    """What is used of sqlalchemy.ext.asyncio.AsyncSession."""

    def in_transaction(self) -> bool: ...
    async def flush(self) -> None: ...
    async def connection(self) -> Any: ...


Caller: TypeAlias = "Connection | SqlAlchemyConnection | SqlAlchemySession"


async def fetch_within(caller: Caller, statement: str, *arguments: object) -> Sequence[Sequence[Any]]:
    """Run a statement inside the caller's open transaction and give its rows.

    A session is flushed first: its changes must hold their rows' locks before an outbox id is handed out. Raises
    RuntimeError outside a transaction, where the row could be committed without the state it tells of.
    """
    if hasattr(caller, "is_in_transaction"):
        connection = cast("Connection", caller)
        _require(connection.is_in_transaction())
        return cast("Sequence[Sequence[Any]]", await connection.fetch(statement, *arguments))
    outer: Any = caller
    # SQLAlchemy begins by itself at the first statement: without one there is no state that has changed.
    _require(outer.in_transaction())
    if hasattr(outer, "flush"):
        await outer.flush()
        outer = await outer.connection()
    result = await outer.exec_driver_sql(statement, arguments)
    return cast("Sequence[Sequence[Any]]", result.fetchall())


def _require(in_transaction: bool) -> None:
    if not in_transaction:
        raise RuntimeError("an outbox row must be written inside the transaction that changes the state")
