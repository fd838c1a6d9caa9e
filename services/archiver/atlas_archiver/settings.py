"""The archiver's settings."""

from typing import Literal

from atlas_runtime.settings import ObjectStoreSettings, ServiceSettings
from pydantic import Field


class ArchiverSettings(ServiceSettings, ObjectStoreSettings):
    """When a segment is closed, how it is written, and what is not archived. `service` is also the consumer group."""

    service: str = "archiver"
    http_port: int = 8083
    # A segment is closed by whichever comes first. A longer age makes fewer, larger objects; until a segment is closed
    # its records are safe in Kafka only. In production 300 s is a better age.
    archiver_segment_max_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    archiver_segment_max_age_s: float = Field(default=10.0, gt=0)
    # Of all open segments and those on their way to the store, as compressed; bounds the process's memory.
    archiver_held_max_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    archiver_codec: Literal["zstandard", "deflate", "null"] = "zstandard"
    # Whether each Avro body is checked against its schema, so that one that is not Avro can't make a file unreadable to
    # other tools; our own reader needs it not. Costs next to nothing where records are taken in runs (ADR 10), and half
    # of the archiver's own time where they are not, as with arrays, maps and texts above 2 KB.
    archiver_check_values: bool = True
    # Names of topics, separated by commas. Heartbeats say nothing a minute later.
    archiver_exclude_topics: str = "health.heartbeats"

    @property
    def excluded(self) -> frozenset[str]:
        return frozenset(name.strip() for name in self.archiver_exclude_topics.split(",") if name.strip())
