"""The boards, in the order that a reader goes through them."""

from infra.observability.dashboards.boards.archive import ARCHIVE
from infra.observability.dashboards.boards.canary import CANARY
from infra.observability.dashboards.boards.gateway import GATEWAY
from infra.observability.dashboards.boards.lag import LAG
from infra.observability.dashboards.boards.lag_group import LAG_GROUP
from infra.observability.dashboards.boards.lag_partition import LAG_PARTITION
from infra.observability.dashboards.boards.mesh import MESH
from infra.observability.dashboards.boards.projections import PROJECTIONS
from infra.observability.dashboards.boards.relay import RELAY
from infra.observability.dashboards.boards.runtime import RUNTIME

BOARDS = (MESH, LAG, LAG_GROUP, LAG_PARTITION, RELAY, PROJECTIONS, ARCHIVE, GATEWAY, RUNTIME, CANARY)
