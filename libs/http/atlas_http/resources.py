"""What a handler works with: found at `request.app[RESOURCES]`, opened by the gateway."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import asyncpg
from aiohttp import web
from atlas_contracts.codec import Codec
from atlas_contracts.registry import Registry
from atlas_outbox.waker import Waker
from atlas_readmodel.reader import Reader

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


class HttpSettings(Protocol):
    """The settings of the gateway that this library heeds; atlas_gateway.settings says what each means."""

    @property
    def gateway_body_max_bytes(self) -> int: ...
    @property
    def gateway_caller_header(self) -> str: ...
    @property
    def gateway_idempotency_ttl_s(self) -> float: ...
    @property
    def gateway_postgres_timeout_s(self) -> float: ...
    @property
    def gateway_read_your_write_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Resources:
    """All that a handler of a context may need. `pool`: the database of the entities and the outbox."""

    settings: HttpSettings
    registry: Registry
    codec: Codec
    pool: Pool
    reader: Reader
    waker: Waker


RESOURCES: web.AppKey[Resources] = web.AppKey("resources", Resources)
