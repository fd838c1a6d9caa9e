"""The codes that hauls are looked up by."""

from atlas_projection.reads import By

DEPOT = By(pattern="^[A-Z0-9]{3,4}$", description="FAA code of a depot, like JFK")
CARRIER = By(pattern="^[A-Z0-9]{2,3}$", description="IATA code of a carrier, like UA")
