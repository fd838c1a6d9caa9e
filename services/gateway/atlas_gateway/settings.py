"""The gateway's settings."""

from atlas_runtime.settings import PostgresSettings, ReadModelSettings, ServiceSettings
from pydantic import Field


class GatewaySettings(ServiceSettings, PostgresSettings, ReadModelSettings):
    """Read from ATLAS_* like every service's; those of the gateway alone begin with ATLAS_GATEWAY_."""

    service: str = "gateway"
    http_port: int = 8080
    # Of the health-aggregator, for GET /health/mesh.
    health_url: str = "http://127.0.0.1:8084"
    # A request may hold this many bytes, after decompression; larger ones are refused without being read to the end.
    gateway_body_max_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    # How many records a body may have; what is above is not sent, and for a JSON array nothing is.
    gateway_records_max: int = Field(default=50_000, ge=1)
    # What one record may be as JSON, in bytes, and in members and containers; another is refused without being parsed.
    gateway_record_max_bytes: int = Field(default=2 * 1024 * 1024, ge=1024)
    gateway_record_members_max: int = Field(default=20_000, ge=16_384)
    # After this many refused records the rest of the body is not read.
    gateway_refused_max: int = Field(default=2_000, ge=1)
    # How many errors of records are listed in one answer (20 of one record at most); the others are counted.
    gateway_errors_max: int = Field(default=1_000, ge=0)
    # How long a query waits until the read model has passed the request's Atlas-Token.
    gateway_read_your_write_s: float = Field(default=2.0, ge=0, le=30)
    # How long records wait for Kafka's acknowledgement before the request is answered without it.
    gateway_produce_timeout_s: float = Field(default=5.0, gt=0)
    # How far ahead of the gateway's clock an event's own time may be; any time in the past is taken.
    gateway_time_max_ahead_s: float = Field(default=3600.0, ge=0)
    # The bound of one statement, of a wait for a row lock, and of getting a connection.
    gateway_postgres_timeout_s: float = Field(default=3.0, gt=0)
    # How long the answer to an Idempotency-Key is kept.
    gateway_idempotency_ttl_s: float = Field(default=24 * 3600, gt=0)
    # The header in which a trusted proxy puts the caller's name (and takes off what a caller sent of it): each caller's
    # Idempotency-Keys are its own then. Empty: all callers are one.
    gateway_caller_header: str = Field(default="", max_length=100, pattern=r"^[A-Za-z0-9-]*$")
    # Origins that browsers may call from: exact ones, `http://host:*` for any port, or `*` for all.
    gateway_cors_origins: tuple[str, ...] = ("http://localhost:*", "http://127.0.0.1:*")
