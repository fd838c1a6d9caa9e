"""What leads to PostgreSQL: the server itself, or a pooler that lends another session to each transaction."""

from collections.abc import Awaitable, Callable
from typing import Any

from atlas_errors.policy import Fate, fate_of


class NeedsSession(Exception):
    """A service that keeps something in its session was given the address of a pooler."""

    def __init__(self, service: str, setting: str) -> None:
        super().__init__(
            f"the {service} keeps locks and settings in its session to PostgreSQL, and the address it has leads to a "
            f"pooler (PgBouncer or alike): give it the server's own in {setting}"
        )


async def is_pooled(connection: Any) -> bool:
    """Whether there is a pooler between this asyncpg connection and the server.

    A pooler greets its client with a process id that it made up; the server is asked for the one it has.
    """
    async with connection.transaction():
        return bool(await connection.fetchval("SELECT pg_backend_pid()") != connection.get_server_pid())


async def require_session(connect: Callable[[], Awaitable[Any]], service: str, setting: str) -> None:
    """Raises NeedsSession, which names the setting, when what `connect` gives leads through a pooler.

    Of a server that does not answer now nothing is known; whoever needs it says that it is away.
    """
    try:
        connection = await connect()
    except Exception as error:
        if fate_of(error) is not Fate.TRANSIENT:
            raise
        return
    try:
        pooled = await is_pooled(connection)
    finally:
        connection.terminate()
    if pooled:
        raise NeedsSession(service, setting)
