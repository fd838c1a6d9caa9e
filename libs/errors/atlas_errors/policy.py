"""The three fates of an error, decided here and nowhere else.

Fate.POISON     the record can never be handled: dead letter, then go on
Fate.TRANSIENT  a dependency is away: back off with jitter, commit nothing, try again
Fate.CRASH      anything else: let the process die loudly; the supervisor restarts it

Error
├── Poison      raised by a handler for a record it can't take
└── Transient   raised where a passing fault has no exception type of its own
"""

from enum import Enum


class Poison(Exception):
    """The record can never be handled; `reason` goes to the dead-letter topic with it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Transient(Exception):
    """A dependency is away; the same work may succeed later."""


class Fate(Enum):
    POISON = "poison"
    TRANSIENT = "transient"
    CRASH = "crash"


# By name, not by type: this library must not import drivers that its user does not have.
_TRANSIENT_NAMES = {
    "aiokafka": {
        "KafkaConnectionError",
        "KafkaTimeoutError",
        "CoordinatorNotAvailableError",
        "CoordinatorLoadInProgressError",
        "NotCoordinatorError",
    },
    "asyncpg": {
        "PostgresConnectionError",
        "ConnectionDoesNotExistError",
        "ConnectionFailureError",
        "ConnectionRejectionError",
        "CannotConnectNowError",
        "TooManyConnectionsError",
        "AdminShutdownError",
        "CrashShutdownError",
        "SerializationError",
        "DeadlockDetectedError",
        "QueryCanceledError",
        "LockNotAvailableError",
        "InsufficientResourcesError",
        "DiskFullError",
        "ReadOnlySQLTransactionError",
        "InternalClientError",  # what an operation gets when the server's goodbye comes in the middle of it
    },
    "redis": {"ConnectionError", "TimeoutError", "BusyLoadingError", "ReadOnlyError", "OutOfMemoryError"},
    "botocore": {
        "ConnectionError",
        "EndpointConnectionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "ConnectionClosedError",
        "HTTPClientError",
        "ResponseStreamingError",
    },
    "aiohttp": {"ClientConnectionError", "ClientPayloadError", "ServerTimeoutError"},
}
_TRANSIENT_TYPES = (Transient, OSError, TimeoutError)
_TRANSIENT_HTTP_STATUS = {429, 500, 502, 503, 504, 507}
# A store that is full by its quota, and one that refuses requests since this machine's clock is off: both are mended
# outside, and the same request succeeds then.
_TRANSIENT_S3_CODES = {"QuotaExceeded", "RequestTimeTooSkewed"}

# SQLSTATE, by its beginning: what a value brings about, in a statement that takes others. 21 a row twice in one upsert,
# 22 data exceptions, 23 constraints, 44 a view's check option, 54 limits (an index row, depth of a document), P0001 and
# P0004 what a trigger of the table raises. asyncpg says 22000 of what it can't encode.
_POISON_SQLSTATES = ("21", "22", "23", "44", "54", "P0001", "P0004")
# Redis has one type for what is wrong with a command and for some states it is in, told apart by the first word.
_REDIS_STATES = {"MISCONF", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "NOREPLICAS", "BUSY", "LOADING"}
_REDIS_MISTAKES = {"WRONGTYPE", "NOPERM", "NOAUTH", "NOSCRIPT", "UNKNOWN", "MOVED", "CROSSSLOT"}
# What Python code raises over a value that is not what it expects.
_OVER_A_VALUE = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError, AssertionError)


def fate_of(error: BaseException) -> Fate:
    """Decide what becomes of the work that raised `error`."""
    if isinstance(error, Poison):
        return Fate.POISON
    if isinstance(error, _TRANSIENT_TYPES):
        return Fate.TRANSIENT
    if _is_transient_by_name(error):
        return Fate.TRANSIENT
    return Fate.POISON if _is_refused_by_a_server(error) else Fate.CRASH


def is_over_content(error: BaseException) -> bool:
    """Whether work on several records failed for what one of them holds: done in smaller parts, it shows which one.

    Beside POISON these are the ordinary errors of Python: where records are worked on, a value is what they are about.
    """
    fate = fate_of(error)
    return fate is Fate.POISON or (fate is Fate.CRASH and isinstance(error, _OVER_A_VALUE))


def _is_refused_by_a_server(error: BaseException) -> bool:
    package = type(error).__module__.partition(".")[0]
    if package == "asyncpg":
        return str(getattr(error, "sqlstate", None) or "").startswith(_POISON_SQLSTATES)
    if package == "redis" and type(error).__name__ in ("ResponseError", "DataError"):
        return str(error).partition(" ")[0] not in _REDIS_STATES | _REDIS_MISTAKES
    return False


def _is_transient_by_name(error: BaseException) -> bool:
    names = {kind.__name__ for kind in type(error).__mro__ if kind.__module__.partition(".")[0] == "aiokafka"}
    # A topic that is not there is a wrong configuration although Kafka calls it retriable.
    if "KafkaError" in names and "UnknownTopicOrPartitionError" not in names and getattr(error, "retriable", False):
        return True
    for kind in type(error).__mro__:
        package = kind.__module__.partition(".")[0]
        if kind.__name__ in _TRANSIENT_NAMES.get(package, ()):
            return True
        if package == "redis" and kind.__name__ == "ResponseError" and str(error).partition(" ")[0] in _REDIS_STATES:
            return True
    # asyncpg says so in words only: the connection went away under the call.
    if type(error).__name__ == "InterfaceError" and type(error).__module__.startswith("asyncpg"):
        return "clos" in str(error) or "released" in str(error)
    response = getattr(error, "response", None)
    if type(error).__module__.startswith("botocore") and isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status in _TRANSIENT_HTTP_STATUS or response.get("Error", {}).get("Code") in _TRANSIENT_S3_CODES
    return False


def describe(error: BaseException) -> str:
    """One line: the error's type and what it says."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
