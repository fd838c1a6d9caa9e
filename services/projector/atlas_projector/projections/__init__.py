"""Every projection that runs, one module each. To add one: write its module, import it here, list it."""

from atlas_projector.projection import Projection
from atlas_projector.projections.carriers import CARRIERS
from atlas_projector.projections.departures import DEPARTURES
from atlas_projector.projections.flights import FLIGHTS
from atlas_projector.projections.routes import ROUTES
from atlas_projector.projections.users import USERS

PROJECTIONS: tuple[Projection, ...] = (USERS, FLIGHTS, ROUTES, CARRIERS, DEPARTURES)
