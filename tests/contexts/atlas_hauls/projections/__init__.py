"""The read models of hauls, one module each."""

from atlas_hauls.projections.carriers import CARRIERS
from atlas_hauls.projections.departures import DEPARTURES
from atlas_hauls.projections.hauls import HAULS
from atlas_hauls.projections.routes import ROUTES
from atlas_projection.projection import Projection

PROJECTIONS: tuple[Projection, ...] = (HAULS, ROUTES, CARRIERS, DEPARTURES)
