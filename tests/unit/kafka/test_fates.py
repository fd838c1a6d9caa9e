"""The three fates, and the back-off."""

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError, ProducerFenced, UnknownTopicOrPartitionError
from atlas_kafka.fates import BACKOFF_MAX_S, Fate, Poison, Transient, backoff_s, fate_of, retrying
from botocore.exceptions import ClientError, EndpointConnectionError
from redis.exceptions import ConnectionError as RedisConnectionError


def _asyncpg(name: str, message: str = "") -> Exception:
    import asyncpg

    return getattr(asyncpg, name)(message)  # type: ignore[no-any-return]


def _s3(status: int) -> ClientError:
    return ClientError({"Error": {"Code": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")


@pytest.mark.parametrize(
    ("error", "fate"),
    [
        (Poison("no such field"), Fate.POISON),
        (Transient("later"), Fate.TRANSIENT),
        (ConnectionRefusedError(), Fate.TRANSIENT),
        (TimeoutError(), Fate.TRANSIENT),
        (KafkaConnectionError(), Fate.TRANSIENT),
        (ProducerFenced(), Fate.CRASH),
        (MessageSizeTooLargeError(), Fate.CRASH),
        (UnknownTopicOrPartitionError(), Fate.CRASH),
        (_asyncpg("CannotConnectNowError"), Fate.TRANSIENT),
        (_asyncpg("AdminShutdownError"), Fate.TRANSIENT),
        (_asyncpg("ConnectionDoesNotExistError"), Fate.TRANSIENT),
        (_asyncpg("InterfaceError", "connection is closed"), Fate.TRANSIENT),
        (_asyncpg("InterfaceError", "wrong number of arguments"), Fate.CRASH),
        (_asyncpg("UniqueViolationError"), Fate.CRASH),
        (RedisConnectionError(), Fate.TRANSIENT),
        (EndpointConnectionError(endpoint_url="x"), Fate.TRANSIENT),
        (_s3(503), Fate.TRANSIENT),
        (_s3(403), Fate.CRASH),
        (ValueError("a bug"), Fate.CRASH),
    ],
)
def test_fate_of(error: Exception, fate: Fate) -> None:
    assert fate_of(error) is fate


def test_backoff_grows_and_is_bounded() -> None:
    assert all(backoff_s(attempt) <= BACKOFF_MAX_S for attempt in range(200))
    assert max(backoff_s(0) for _ in range(50)) < min(backoff_s(12) for _ in range(50))


async def test_retrying_reports_each_failure_and_the_recovery() -> None:
    failures = [ConnectionRefusedError(), TimeoutError("slow")]
    heard: list[str | None] = []

    async def operation() -> int:
        if failures:
            raise failures.pop(0)
        return 7

    assert await retrying(operation, what="database", stop=asyncio.Event(), on_retry=heard.append) == 7
    assert heard == ["database: ConnectionRefusedError", "database: TimeoutError: slow", None]


async def test_retrying_raises_what_will_not_pass() -> None:
    async def operation() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await retrying(operation, what="x", stop=asyncio.Event())


async def test_retrying_gives_up_when_stopped() -> None:
    stop = asyncio.Event()

    async def operation() -> None:
        stop.set()
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        await retrying(operation, what="x", stop=stop)
