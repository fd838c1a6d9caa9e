"""How late flights are, by route."""

from atlas_flights.projections.codes import AIRPORT
from atlas_flights.projections.delays import delays_by

ROUTES = delays_by("routes", "/routes", "origin", "destination", filters={"origin": AIRPORT, "destination": AIRPORT})
