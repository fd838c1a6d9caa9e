"""What tests post to a topic of hauls."""

import uuid
from collections.abc import Callable
from typing import Any

NDJSON = {"Content-Type": "application/x-ndjson"}
Fetch = Callable[[dict[str, int]], Any]


def departed(**changes: Any) -> dict[str, Any]:
    value = {
        "haul_id": f"UA{uuid.uuid4().hex}-20130101T10-EWR",
        "carrier": "UA",
        "haul_number": 1545,
        "truck_number": "N14228",
        "origin": "EWR",
        "destination": "IAH",
        "scheduled_departure": "2013-01-01T10:15:00Z",
        "distance_miles": 1400,
        "departure_delay_minutes": 2,
        "arrival_delay_minutes": 11,
        "drive_time_minutes": 227,
    }
    return {"type": "hauls.HaulDeparted", "value": value | changes}
