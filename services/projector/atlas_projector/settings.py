"""The projector's settings; see atlas_runtime.settings."""

from atlas_runtime.settings import ReadModelSettings, ServiceSettings


class ProjectorSettings(ServiceSettings, ReadModelSettings):
    """A projection takes two connections at most, a rebuild four more."""

    service: str = "projector"
    http_port: int = 8082
    readmodel_pool_max: int = 24
