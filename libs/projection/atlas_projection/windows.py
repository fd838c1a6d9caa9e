"""Time windows for projections: which windows an event falls into, as `Projection.each` wants it.

    each=windows("scheduled_departure", HOUR_MS)                     one window of an hour for each event
    each=windows("scheduled_departure", DAY_MS, every_ms=HOUR_MS)    24 windows of a day, one beginning each hour

The window's begin is added to the event as `window_start` (epoch milliseconds), to be a column of the table's key.
"""

from collections.abc import Callable

from atlas_contracts.events import Meta

from atlas_projection.projection import Rejected, Value

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WINDOW_START = "window_start"


def windows(time_field: str, size_ms: int, *, every_ms: int | None = None) -> Callable[[Value, Meta], list[Value]]:
    """The events, one for each window of `size_ms` that the time in `time_field` (epoch milliseconds) is in.

    A window begins each `every_ms`, which must divide its size; without it, where the one before ends.
    """
    step = size_ms if every_ms is None else every_ms
    if step <= 0 or size_ms % step:
        raise ValueError(f"every_ms: {step} does not divide the window of {size_ms} ms")

    def each(event: Value, _meta: Meta) -> list[Value]:
        at = event[time_field]
        if at is None:
            raise Rejected(f"{time_field} is null, so it is in no window")
        latest = at - at % step
        return [event | {WINDOW_START: start} for start in range(latest - size_ms + step, latest + 1, step)]

    return each
