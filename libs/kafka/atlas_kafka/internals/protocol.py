"""aiokafka's building blocks of requests, and the requests that its client sends but offers no method for.

It speaks old versions of most requests, and some not at all (topic ids, flexible versions, transactions of the second
version); its client sends any request that is made of these.
"""

from aiokafka.coordinator.protocol import ConsumerProtocol, ConsumerProtocolMemberMetadata
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.admin import DeleteGroupsRequest, DescribeConfigsRequest, DescribeGroupsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.transaction import AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

__all__ = [  # noqa: RUF022
    # The types of fields, and what a type of our own is made from.
    "AbstractType", "Boolean", "CompactArray", "CompactBytes", "CompactString", "Int8", "Int16", "Int32", "Int64",
    "Schema", "TaggedFields",
    # A request, its form on the wire, the answer and its header.
    "Request", "RequestStruct", "Response", "ResponseHeader_v0",
    # A producer's identity and the first version of transactions, for producers that aren't aiokafka's.
    "AddPartitionsToTxnRequest", "EndTxnRequest", "InitProducerIdRequest",
    # Settings of topics with where each comes from, which the admin client gives in an older version without it.
    "DescribeConfigsRequest",
    # A group that is retired, for which the admin client has no method.
    "DeleteGroupsRequest",
    # What members of a group ask for and have, over a client that is open already.
    "ConsumerProtocol", "ConsumerProtocolMemberMetadata", "DescribeGroupsRequest",
]  # fmt: skip
