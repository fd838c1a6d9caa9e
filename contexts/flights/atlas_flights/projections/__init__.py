"""The read models of flights, one module each."""

from atlas_projection.projection import Projection

from atlas_flights.projections.carriers import CARRIERS
from atlas_flights.projections.departures import DEPARTURES
from atlas_flights.projections.flights import FLIGHTS
from atlas_flights.projections.routes import ROUTES

PROJECTIONS: tuple[Projection, ...] = (FLIGHTS, ROUTES, CARRIERS, DEPARTURES)
