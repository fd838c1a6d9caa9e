"""The projector's settings; see atlas_runtime.settings."""

from atlas_runtime.settings import LOCAL_DSN, ObjectStoreSettings, ReadModelSettings, ServiceSettings
from pydantic import AliasChoices, Field, SecretStr


class ProjectorSettings(ServiceSettings, ReadModelSettings, ObjectStoreSettings):
    """A projection takes two connections at most, a rebuild four more and each of its workers three of its own."""

    service: str = "projector"
    http_port: int = 8082
    # Rebuilds hold locks of a session, and batches go through tables of one: of the server itself, not of a pooler.
    readmodel_dsn: SecretStr = Field(
        default=LOCAL_DSN,
        validation_alias=AliasChoices(
            "ATLAS_PROJECTOR_READMODEL_DSN", "ATLAS_READMODEL_DSN", "ATLAS_POSTGRES_DSN", "postgres_dsn"
        ),
    )
    readmodel_pool_max: int = 24
    projector_rebuild_workers: int = Field(default=2, ge=0, le=64)
    projector_rebuild_load: float = Field(default=1.0, gt=0, le=1)
    projector_rebuild_from_archive: bool = True
    projector_standstill_s: float = Field(default=30.0, ge=0)
