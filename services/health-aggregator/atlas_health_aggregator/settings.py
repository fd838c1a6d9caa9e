"""Settings of the health-aggregator."""

from atlas_runtime.settings import ServiceSettings
from pydantic import Field


class HealthAggregatorSettings(ServiceSettings):
    """What it watches and how patiently. `service` is also the name of its consumer group."""

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
    # An ordinary transaction takes milliseconds.
    health_blocked_after_s: float = Field(default=5.0, ge=0)

    @property
    def known_services(self) -> frozenset[str]:
        """The services of the mesh, this one among them."""
        return frozenset({self.service, *(name.strip() for name in self.health_services.split(",") if name.strip())})
