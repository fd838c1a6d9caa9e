"""The relay's settings."""

from typing import Literal

from atlas_runtime.settings import LOCAL_DSN, PostgresSettings, ServiceSettings
from pydantic import AliasChoices, Field, SecretStr


class RelaySettings(ServiceSettings, PostgresSettings):
    """`relay_delivery` at_least_once sends without transactions: lower latency, and repeats after a crash."""

    service: str = "relay"
    http_port: int = 8081
    # The relay's leases and its LISTEN live in sessions: of the server itself, not of a pooler.
    postgres_dsn: SecretStr = Field(
        default=LOCAL_DSN,
        validation_alias=AliasChoices("ATLAS_RELAY_POSTGRES_DSN", "ATLAS_POSTGRES_DSN", "postgres_dsn"),
    )
    relay_delivery: Literal["exactly_once", "at_least_once"] = "exactly_once"
    # So that some wait for PostgreSQL while others wait for Kafka; see docs/adr/0003.
    relay_producers: int = Field(default=4, ge=1, le=8)
    relay_batch_rows: int = Field(default=5000, ge=1, le=50_000)
    relay_batch_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    relay_poll_s: float = Field(default=0.25, gt=0)
    relay_lease_s: float = Field(default=6.0, gt=0)
    relay_send_timeout_s: float = Field(default=10.0, gt=0)
    # A record above it is parked unsent. The broker's own limit (message.max.bytes, 1 MiB by default) counts a whole
    # record batch, of which 100 bytes are left for what surrounds the record.
    relay_max_record_bytes: int = Field(default=1024 * 1024 - 100, ge=1024)
    # One outbox, one progress topic: two databases on one Kafka must name different ones.
    relay_progress_topic: str = "outbox.progress"
