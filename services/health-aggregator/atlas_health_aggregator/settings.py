"""Settings of the health-aggregator."""

from typing import Self

from atlas_contracts.canary import RECENT
from atlas_runtime.settings import ObjectStoreSettings, PostgresSettings, ReadModelSettings, ServiceSettings
from pydantic import Field, field_validator, model_validator

from atlas_health_aggregator.canary.journeys import ACCEPTED, ARCHIVED, ON_TOPIC, PROJECTED, UNANSWERED_S, VISIBLE

METRIC_NAMES = frozenset({"kafka_exporter", "kafka_lag_exporter"})


class HealthAggregatorSettings(ServiceSettings, PostgresSettings, ReadModelSettings, ObjectStoreSettings):
    """What it watches and how patiently. `service` is also the name of its consumer group.

    The stores are the ledger's: it reads them and writes nothing.
    """

    service: str = "health-aggregator"
    http_port: int = 8084
    # Three missed heartbeats and half an interval for the way: with the usual 2 s, a dead service is down after 7 s.
    health_down_after_intervals: float = Field(default=3.5, ge=1)
    # Whom to expect: these are never forgotten. Of other services a few are shown, and forgotten when they are gone.
    health_services: str = "gateway,relay,projector,archiver,health-aggregator"
    health_other_services_max: int = Field(default=20, ge=0)
    health_instances_max: int = Field(default=50, ge=1)
    health_forget_after_s: float = Field(default=3600.0, gt=0)
    health_lag_interval_s: float = Field(default=5.0, gt=0)
    health_lag_groups: str = ".*"
    # Other exporters whose names lag has too, for dashboards that know these: kafka_exporter, kafka_lag_exporter.
    health_metric_names: str = ""
    # What these call the cluster.
    health_cluster_name: str = "atlas"
    # Which series of lag /metrics has, for there may be many: by partition there are only where there are by topic.
    health_lag_by_group: bool = True
    health_lag_by_topic: bool = True
    health_lag_by_partition: bool = True
    # Partitions of groups that have series of their own, the mesh's groups first; of other groups each topic has one.
    health_lag_partitions_max: int = Field(default=2000, ge=0)
    # Groups, by their whole name, that may lag as they like: a job of the night, a rebuild of a team's own.
    health_late_groups: str = ""
    # As the archiver has it: its group lags by so much on purpose.
    archiver_segment_max_age_s: float = Field(default=10.0, gt=0)
    # Seconds between two readings of the ledger; 0: none is taken, and no store is asked.
    health_ledger_interval_s: float = Field(default=15.0, ge=0)
    # As the archiver has it: what is not archived lacks nothing.
    archiver_exclude_topics: str = "health.heartbeats"
    # A week of lag is kept on this topic; two meshes on one Kafka must name different ones.
    health_history_topic: str = Field(default="health.lag-history", min_length=1)
    # Each is a group and a topic, 140 KB of memory.
    health_history_series_max: int = Field(default=500, ge=1)
    # An ordinary transaction takes milliseconds.
    health_blocked_after_s: float = Field(default=5.0, ge=0)
    # Where canaries go in and are looked for.
    gateway_url: str = "http://127.0.0.1:8080"
    health_canary_interval_s: float = Field(default=1.0, ge=0.5)
    # By when a canary has to be at each stage, from when it was sent.
    health_canary_accepted_s: float = Field(default=5.0, gt=0)
    health_canary_on_topic_s: float = Field(default=15.0, gt=0)
    health_canary_projected_s: float = Field(default=30.0, gt=0)
    health_canary_visible_s: float = Field(default=30.0, gt=0)
    # Beside the age of a segment.
    health_canary_archived_s: float = Field(default=60.0, gt=0)

    @field_validator("health_metric_names")
    @classmethod
    def _are_known(cls, value: str) -> str:
        wrong = sorted(set(_listed(value)) - METRIC_NAMES)
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: expected any of {', '.join(sorted(METRIC_NAMES))}")
        return value

    @model_validator(mode="after")
    def _fits_into_a_row(self) -> Self:
        longest_s = max(self.health_canary_projected_s, self.health_canary_visible_s) + UNANSWERED_S
        if longest_s / self.health_canary_interval_s > RECENT:
            raise ValueError(
                f"the read model shows the last {RECENT} canaries, and more may be on their way: raise "
                f"ATLAS_HEALTH_CANARY_INTERVAL_S to {longest_s / RECENT:.1f}, or give the stages less time"
            )
        return self

    @property
    def canary_within(self) -> dict[str, float]:
        """Seconds from sending a canary by when each stage has to be reached."""
        return {
            ACCEPTED: self.health_canary_accepted_s,
            ON_TOPIC: self.health_canary_on_topic_s,
            PROJECTED: self.health_canary_projected_s,
            VISIBLE: self.health_canary_visible_s,
            ARCHIVED: self.archiver_segment_max_age_s + self.health_canary_archived_s,
        }

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The exporters whose names lag has too, in order."""
        return tuple(sorted(set(_listed(self.health_metric_names))))

    @property
    def not_archived(self) -> frozenset[str]:
        """The topics that the archiver leaves out."""
        return frozenset(_listed(self.archiver_exclude_topics))

    @property
    def known_services(self) -> frozenset[str]:
        """The services of the mesh, this one among them."""
        return frozenset({self.service, *_listed(self.health_services)})


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
