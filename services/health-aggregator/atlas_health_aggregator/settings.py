"""Settings of the health-aggregator."""

from atlas_runtime.settings import ServiceSettings
from pydantic import Field


class HealthAggregatorSettings(ServiceSettings):
    """What it watches and how patiently. `service` is also the name of its consumer group."""

    service: str = "health-aggregator"
    http_port: int = 8084
    # Three missed beats and half an interval for the way: with the usual 2 s, a dead service is down after 7 s.
    health_down_after_intervals: float = Field(default=3.5, ge=1)
    health_lag_interval_s: float = Field(default=5.0, gt=0)
    health_lag_groups: str = ".*"
