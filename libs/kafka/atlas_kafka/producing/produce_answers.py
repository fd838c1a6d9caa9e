"""What a broker's answer to a batch means: decided here for everyone who sends batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from aiokafka.errors import (
    KafkaError,
    NotEnoughReplicasError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from atlas_kafka.producing.outgoing import InvalidRecordError


class Verdict(Enum):
    """What became of a batch. In all but TAKEN and UNSETTLED nothing of it is on the topic."""

    TAKEN = "taken"
    UNSETTLED = "unsettled"  # it may be on the topic: only the very same bytes may be sent again
    EARLY = "early"  # another broker leads, or this one is not ready: look again, and send again
    WITHHELD = "withheld"  # not now: no such topic, too few replicas. It is tried again, but not for ever
    DENIED = "denied"  # nothing may be sent there: each record's answer
    TOO_LARGE = "too large"  # one of its records, or only all together
    REFUSED = "refused"  # one of its records, for what it is
    LOST = "lost"  # the broker does not know this producer's sequence any more


# By number, because aiokafka has names for the codes up to 79 only.
_VERDICTS: Mapping[int, Verdict] = {
    0: Verdict.TAKEN,
    -1: Verdict.UNSETTLED,  # UNKNOWN_SERVER_ERROR
    2: Verdict.UNSETTLED,  # CORRUPT_MESSAGE, on the way as a rule
    3: Verdict.WITHHELD,  # UNKNOWN_TOPIC_OR_PARTITION
    5: Verdict.EARLY,  # LEADER_NOT_AVAILABLE
    6: Verdict.EARLY,  # NOT_LEADER_OR_FOLLOWER
    7: Verdict.UNSETTLED,  # REQUEST_TIMED_OUT
    8: Verdict.EARLY,  # BROKER_NOT_AVAILABLE
    9: Verdict.EARLY,  # REPLICA_NOT_AVAILABLE
    10: Verdict.TOO_LARGE,  # MESSAGE_TOO_LARGE
    13: Verdict.UNSETTLED,  # NETWORK_EXCEPTION
    14: Verdict.EARLY,  # COORDINATOR_LOAD_IN_PROGRESS
    15: Verdict.EARLY,  # COORDINATOR_NOT_AVAILABLE
    16: Verdict.EARLY,  # NOT_COORDINATOR
    17: Verdict.DENIED,  # INVALID_TOPIC_EXCEPTION
    18: Verdict.TOO_LARGE,  # RECORD_LIST_TOO_LARGE
    19: Verdict.WITHHELD,  # NOT_ENOUGH_REPLICAS
    20: Verdict.UNSETTLED,  # NOT_ENOUGH_REPLICAS_AFTER_APPEND
    29: Verdict.DENIED,  # TOPIC_AUTHORIZATION_FAILED
    31: Verdict.DENIED,  # CLUSTER_AUTHORIZATION_FAILED
    32: Verdict.REFUSED,  # INVALID_TIMESTAMP
    43: Verdict.REFUSED,  # UNSUPPORTED_FOR_MESSAGE_FORMAT
    44: Verdict.REFUSED,  # POLICY_VIOLATION
    45: Verdict.LOST,  # OUT_OF_ORDER_SEQUENCE_NUMBER
    46: Verdict.LOST,  # DUPLICATE_SEQUENCE_NUMBER, of a batch too old to say where it is
    47: Verdict.LOST,  # INVALID_PRODUCER_EPOCH
    48: Verdict.LOST,  # INVALID_TXN_STATE
    49: Verdict.LOST,  # INVALID_PRODUCER_ID_MAPPING
    51: Verdict.EARLY,  # CONCURRENT_TRANSACTIONS
    53: Verdict.DENIED,  # TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    56: Verdict.UNSETTLED,  # KAFKA_STORAGE_ERROR
    59: Verdict.LOST,  # UNKNOWN_PRODUCER_ID
    72: Verdict.EARLY,  # LISTENER_NOT_FOUND
    74: Verdict.EARLY,  # FENCED_LEADER_EPOCH
    75: Verdict.EARLY,  # UNKNOWN_LEADER_EPOCH
    76: Verdict.REFUSED,  # UNSUPPORTED_COMPRESSION_TYPE
    87: Verdict.REFUSED,  # INVALID_RECORD
    89: Verdict.EARLY,  # THROTTLING_QUOTA_EXCEEDED
    90: Verdict.LOST,  # PRODUCER_FENCED
    120: Verdict.LOST,  # TRANSACTION_ABORTABLE
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A broker's answer to one batch: `offset` of its first record, or `code` and the reason in its own words.

    `faults` are the records that it names, by their place in the batch, each with its reason. `appended_ms`: the
    broker's time, where the topic goes by that.
    """

    code: int
    offset: int = -1
    message: str | None = None
    faults: Sequence[tuple[int, str]] = ()
    appended_ms: int | None = None

    @property
    def verdict(self) -> Verdict:
        """What it means. A code that is not known is taken for the batch's own fault."""
        return _VERDICTS.get(self.code, Verdict.REFUSED)

    @property
    def reason(self) -> str:
        """The error's name, and what the broker said of it."""
        name = type(self.error()).__name__ if self.code != InvalidRecordError.errno else InvalidRecordError.__name__
        return f"{name} ({self.code}): {self.message}" if self.message else f"{name} ({self.code})"

    def error(self, topic: str = "") -> KafkaError:
        """The error as aiokafka names it."""
        if self.code == InvalidRecordError.errno:
            return InvalidRecordError(self.message)
        kind = for_code(self.code)
        if kind is TopicAuthorizationFailedError:
            return kind(topic)
        if kind is UnknownTopicOrPartitionError:
            return kind(f"there is no topic {topic}" if topic else self.message)
        if kind is NotEnoughReplicasError:
            return kind(f"{topic} has fewer replicas in sync than it asks for")
        return kind(self.message) if self.message else kind()
