"""A member of a group of the newer protocol (KIP-848), which aiokafka does not speak: no more than its heartbeats."""

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request
from aiokafka.protocol.types import CompactArray, Int16, Int32, Schema
from atlas_kafka.wire.flexible import TEXT, FlexibleRequest, FlexibleResponse, Uuid, array, body

_LEAVE = -1


class _HeartbeatResponse(FlexibleResponse, api=(68, 0)):
    # The assignment follows, and is not read.
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("error_message", TEXT),
        ("member_id", TEXT),
        ("member_epoch", Int32),
        ("heartbeat_interval_ms", Int32),
    )


class _HeartbeatRequestV0(FlexibleRequest, answered=_HeartbeatResponse):
    SCHEMA = body(
        ("group", TEXT),
        ("member_id", TEXT),
        ("member_epoch", Int32),
        ("instance_id", TEXT),
        ("rack_id", TEXT),
        ("rebalance_timeout_ms", Int32),
        ("topics", CompactArray(TEXT)),
        ("assignor", TEXT),
        ("owned", array(("topic_id", Uuid), ("partitions", CompactArray(Int32)))),
    )


class _Heartbeat(Request[_HeartbeatRequestV0]):  # type: ignore[misc]
    API_KEY = 68

    def __init__(self, *values: object) -> None:
        self._values = values

    def build(self, request_struct_class: type[_HeartbeatRequestV0]) -> _HeartbeatRequestV0:
        return request_struct_class(*self._values, {})


class NewerMember:
    """Joins at its first heartbeat."""

    def __init__(self, admin: AIOKafkaAdminClient, group: str, topic: str) -> None:
        self._admin = admin
        self._group = group
        self._topics = [topic]
        self._id, self._epoch = "", 0

    async def heartbeat(self) -> None:
        await self._send(self._epoch)

    async def leave(self) -> None:
        await self._send(_LEAVE)

    async def _send(self, epoch: int) -> None:
        joining = epoch == 0
        request = _Heartbeat(
            self._group,
            self._id,
            epoch,
            None,
            None,
            45_000 if joining else -1,
            self._topics if joining else None,
            None,
            [] if joining else None,
        )
        coordinator = await self._admin.find_coordinator(self._group)
        response = await self._admin._client.send(coordinator, request)
        assert response.error_code == 0, (response.error_code, response.error_message)
        self._id, self._epoch = response.member_id, response.member_epoch
