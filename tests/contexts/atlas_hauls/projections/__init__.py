"""The read models of hauls: rows, counters of each partition, and documents of each partition."""

from atlas_hauls.projections.departures import DEPARTURES
from atlas_hauls.projections.hauls import HAULS
from atlas_hauls.projections.routes import CARRIERS, ROUTES
from atlas_projection.projection import Projection

PROJECTIONS: tuple[Projection, ...] = (HAULS, ROUTES, CARRIERS, DEPARTURES)
