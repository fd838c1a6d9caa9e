"""The codes that flights are looked up by."""

from atlas_projection.reads import By

AIRPORT = By(pattern="^[A-Z0-9]{3,4}$", description="FAA code of an airport, like JFK")
CARRIER = By(pattern="^[A-Z0-9]{2,3}$", description="IATA code of an airline, like UA")
