"""Every setting of every service: read from ATLAS_* in the environment, then from .env; frozen once read.

A service's own class inherits the groups it needs, sets the defaults of `service` and `http_port`, and adds its own
fields: `class RelaySettings(ServiceSettings, PostgresSettings)`. `.env.sample` documents each field.
"""

import os
import socket
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

_CONFIG = SettingsConfigDict(
    env_prefix="ATLAS_",
    env_file=".env",
    extra="ignore",
    frozen=True,
    populate_by_name=True,
    hide_input_in_errors=True,  # a value that does not validate may be a secret
)
LOCAL_DSN = SecretStr("postgresql://atlas@127.0.0.1:5432/atlas")


def _this_process() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


class ServiceSettings(BaseSettings):
    """What every service has. `instance` names one process of it; `http_port` 0 takes a free port."""

    model_config = _CONFIG

    service: str
    instance: str = Field(default_factory=_this_process)
    environment: str = "development"
    http_host: str = "127.0.0.1"
    http_port: int
    # Names that the service is called by, beside those that it knows: exact ones, `*.example.org`, or `*` for any.
    http_hosts: tuple[str, ...] = ()
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] | None = None
    otlp_endpoint: str | None = None
    otlp_logs: bool = False
    # Of the traces that begin here; who began a trace elsewhere has decided.
    trace_sample_ratio: float = Field(default=1.0, ge=0, le=1)
    schemas_dir: Path = Path("schemas")
    # The bounded contexts whose routes and projections this process runs; empty: all that are installed.
    contexts: tuple[str, ...] = ()
    # Values of feature flags by name, and a JSON file of them, which wins and is read again when it changes.
    flags: dict[str, bool | int | float | str] = {}
    flags_file: Path | None = None
    kafka_brokers: str = "127.0.0.1:9092"
    # After so long without a sign of life a consumer's partitions go to others; the brokers have to allow it.
    kafka_session_s: float = Field(default=10.0, ge=1, le=300)
    # The health-aggregator takes no others: it waits for a multiple of this before it calls an instance dead.
    heartbeat_interval_s: float = Field(default=2.0, ge=0.1, le=30)
    drain_timeout_s: float = Field(default=10.0, gt=0)
    # Gateway, projector, archiver and health-aggregator must say the same, or canaries go nowhere.
    canary: bool = False

    @property
    def json_logs(self) -> bool:
        """Whether logs are JSON lines: as `log_format` says, else everywhere but in development."""
        return self.log_format == "json" if self.log_format else self.environment != "development"


class PostgresSettings(BaseSettings):
    """The database of the entities and the outbox."""

    model_config = _CONFIG

    postgres_dsn: SecretStr = LOCAL_DSN
    postgres_pool_max: int = Field(default=10, ge=1)


class ReadModelSettings(BaseSettings):
    """The database of the read models, the one of the entities unless said otherwise, and the cache before it."""

    model_config = _CONFIG

    readmodel_dsn: SecretStr = Field(
        default=LOCAL_DSN,
        validation_alias=AliasChoices("ATLAS_READMODEL_DSN", "ATLAS_POSTGRES_DSN", "postgres_dsn"),
    )
    readmodel_pool_max: int = Field(default=10, ge=1)
    redis_url: str = "redis://127.0.0.1:6379/0"
    redis_namespace: str = "atlas"


class ObjectStoreSettings(BaseSettings):
    """The object store of the archive."""

    model_config = _CONFIG

    s3_endpoint: str = "http://127.0.0.1:9000"
    s3_region: str = "us-east-1"
    s3_access_key: SecretStr = SecretStr("atlas")
    s3_secret_key: SecretStr = SecretStr("atlas-secret")
    s3_bucket: str = "atlas-archive"

    def s3_address(self) -> dict[str, str]:
        """What `atlas_archive.store.S3Address` is made of."""
        return {
            "bucket": self.s3_bucket,
            "endpoint": self.s3_endpoint,
            "access_key": self.s3_access_key.get_secret_value(),
            "secret_key": self.s3_secret_key.get_secret_value(),
            "region": self.s3_region,
        }
