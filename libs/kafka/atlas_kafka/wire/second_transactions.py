"""The requests of Kafka's second version of transactions (KIP-890), which aiokafka does not speak.

In it a partition joins the transaction with its first record, so the coordinator is not asked beforehand, and each
commit raises the producer's epoch, so a late record of an earlier transaction can't get into a later one. Its produce
request is in `atlas_kafka.wire.produce`.
"""

from io import BytesIO
from typing import Any

from atlas_kafka.internals.protocol import (
    Boolean,
    Int16,
    Int32,
    Int64,
    Request,
    ResponseHeader_v0,
)
from atlas_kafka.wire.flexible import TEXT, FlexibleRequest, FlexibleResponse, array, body

# Where brokers list the features that the whole cluster has agreed on.
_FINALIZED_FEATURES = 2
_FEATURES = array(("name", TEXT), ("max", Int16), ("min", Int16))


class _EndTxnResponse(FlexibleResponse, api=(26, 5)):
    SCHEMA = body(("throttle_time_ms", Int32), ("error_code", Int16), ("producer_id", Int64), ("producer_epoch", Int16))


class _EndTxnRequest(FlexibleRequest, answered=_EndTxnResponse):
    SCHEMA = body(("transactional_id", TEXT), ("producer_id", Int64), ("producer_epoch", Int16), ("commits", Boolean))


class EndTransaction(Request[_EndTxnRequest]):  # type: ignore[misc]
    """Commits a transaction, or aborts it; the answer has the producer's id and epoch for the next one."""

    API_KEY = 26

    def __init__(self, transactional_id: str, producer_id: int, producer_epoch: int, commits: bool) -> None:
        self._body: tuple[Any, ...] = (transactional_id, producer_id, producer_epoch, commits, {})

    def build(self, request_struct_class: type[_EndTxnRequest]) -> _EndTxnRequest:
        """The request as it is sent."""
        return request_struct_class(*self._body)


class _ApiVersionsResponse(FlexibleResponse, api=(18, 3)):
    SCHEMA = body(
        ("error_code", Int16),
        ("api_versions", array(("api_key", Int16), ("min", Int16), ("max", Int16))),
        ("throttle_time_ms", Int32),
    )


class _ApiVersionsRequest(FlexibleRequest, answered=_ApiVersionsResponse):
    SCHEMA = body(("client_software_name", TEXT), ("client_software_version", TEXT))

    def parse_response_header(self, read_buffer: BytesIO | bytes) -> ResponseHeader_v0:
        """Of this request alone the header is never of the flexible kind."""
        return ResponseHeader_v0.decode(read_buffer)


class ApiVersions(Request[_ApiVersionsRequest]):  # type: ignore[misc]
    """What the broker can do."""

    API_KEY = 18

    def build(self, request_struct_class: type[_ApiVersionsRequest]) -> _ApiVersionsRequest:
        """The request as it is sent."""
        return request_struct_class("atlas", "1", {})


def transaction_version(answer: _ApiVersionsResponse) -> int:
    """The version of transactions that the whole cluster speaks, out of the answer to ApiVersions; 0 when not said."""
    packed = answer.tags.get(_FINALIZED_FEATURES)
    features = _FEATURES.decode(BytesIO(packed)) if packed else []
    return next((int(highest) for name, highest, *_ in features if name == "transaction.version"), 0)
