"""The projector's settings; see atlas_runtime.settings."""

from atlas_runtime.settings import ObjectStoreSettings, ReadModelSettings, ServiceSettings
from pydantic import Field


class ProjectorSettings(ServiceSettings, ReadModelSettings, ObjectStoreSettings):
    """A projection takes two connections at most, a rebuild four more and each of its workers three of its own."""

    service: str = "projector"
    http_port: int = 8082
    readmodel_pool_max: int = 24
    projector_rebuild_workers: int = Field(default=2, ge=0, le=64)
    projector_rebuild_load: float = Field(default=1.0, gt=0, le=1)
    projector_rebuild_from_archive: bool = True
    projector_standstill_s: float = Field(default=30.0, ge=0)
