"""The three fates."""

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError, ProducerFenced, UnknownTopicOrPartitionError
from atlas_errors.policy import Fate, Poison, Transient, describe, fate_of, is_over_content
from botocore.exceptions import ClientError, EndpointConnectionError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError


def _asyncpg(name: str, message: str = "") -> Exception:
    import asyncpg

    return getattr(asyncpg, name)(message)  # type: ignore[no-any-return]


def _s3(status: int, code: str = "x") -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")


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
        (_asyncpg("UniqueViolationError"), Fate.POISON),
        (_asyncpg("CharacterNotInRepertoireError"), Fate.POISON),
        (_asyncpg("NumericValueOutOfRangeError"), Fate.POISON),
        (_asyncpg("ProgramLimitExceededError"), Fate.POISON),
        (_asyncpg("StatementTooComplexError"), Fate.POISON),
        (_asyncpg("CardinalityViolationError"), Fate.POISON),
        (_asyncpg("WithCheckOptionViolationError"), Fate.POISON),
        (_asyncpg("RaiseError"), Fate.POISON),
        (_asyncpg("DataError", "invalid input for query argument $1: 'closed' (expected str, got list)"), Fate.POISON),
        (_asyncpg("UndefinedColumnError"), Fate.CRASH),
        (_asyncpg("InsufficientPrivilegeError"), Fate.CRASH),
        (_asyncpg("DiskFullError"), Fate.TRANSIENT),
        (ResponseError("ERR Error running script"), Fate.POISON),
        (ResponseError("MISCONF Redis can't persist"), Fate.TRANSIENT),
        (ResponseError("WRONGTYPE Operation"), Fate.CRASH),
        (RedisConnectionError(), Fate.TRANSIENT),
        (EndpointConnectionError(endpoint_url="x"), Fate.TRANSIENT),
        (_s3(503), Fate.TRANSIENT),
        (_s3(403), Fate.CRASH),
        (_s3(507, "XMinioStorageFull"), Fate.TRANSIENT),
        (_s3(403, "QuotaExceeded"), Fate.TRANSIENT),
        (_s3(403, "RequestTimeTooSkewed"), Fate.TRANSIENT),
        (_s3(403, "AccessDenied"), Fate.CRASH),
        (ValueError("a bug"), Fate.CRASH),
    ],
)
def test_fate_of(error: Exception, fate: Fate) -> None:
    assert fate_of(error) is fate


@pytest.mark.parametrize(
    ("error", "over_content"),
    [
        (_asyncpg("CheckViolationError"), True),
        (KeyError("column"), True),
        (OverflowError("value out of int32 range"), True),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), True),
        (RecursionError(), True),
        (MemoryError(), False),
        (TimeoutError(), False),
        (_asyncpg("UndefinedTableError"), False),
    ],
)
def test_what_a_record_holds_is_told_from_what_a_server_lacks(error: Exception, over_content: bool) -> None:
    assert is_over_content(error) is over_content


def test_an_error_of_ours_that_is_one_of_kafkas_has_its_fate() -> None:
    class Ours(KafkaConnectionError):  # type: ignore[misc]  # aiokafka has no types
        pass

    assert fate_of(Ours()) is Fate.TRANSIENT


def test_an_error_of_that_name_from_elsewhere_is_not_taken_for_it() -> None:
    class KafkaTimeoutError(Exception):
        retriable = True

    assert fate_of(KafkaTimeoutError()) is Fate.CRASH


def test_an_error_is_described_in_one_line() -> None:
    assert describe(ValueError("a\n  b")) == "ValueError: a b"
    assert describe(TimeoutError()) == "TimeoutError"
