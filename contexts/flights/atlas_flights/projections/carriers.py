"""How late flights are, by carrier."""

from atlas_flights.projections.delays import delays_by

CARRIERS = delays_by("carriers", "/carriers", "carrier")
