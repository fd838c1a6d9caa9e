"""One run of the demo: which events it posts, and what carriers and routes must then be."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from atlas_runtime.demo import Check, Demo, Event, Gateway, Proof

from atlas_flights.demo import data
from atlas_flights.demo.truth import Delays, truth

# The gateway's means are doubles made from the same integers; a last-digit difference is not a difference of data.
RELATIVE_ERROR_MAX = 1e-12
COUNTED = ("flights", "departed", "cancelled")
MEANS = ("mean_departure_delay_minutes", "mean_arrival_delay_minutes")

Source = Callable[[], Iterable[Event]]


class FlightsDemo(Demo):
    """The first `size` flights of 2013 with all airlines and airports; with all flights also the planes and the
    weather.
    """

    demo_size = data.FLIGHTS
    seed_size = 2_000
    look = ("/carriers", "/routes", "/departures/JFK")
    rebuilds = ("flights",)

    def events(self) -> Mapping[str, Source]:
        """What is posted, by topic."""
        if self.size < data.FLIGHTS:
            return {
                "flights.reference": lambda: chain(data.airlines(), data.airports()),
                "flights.events": self._flights,
            }
        return {
            "flights.reference": lambda: chain(data.airlines(), data.airports(), data.planes()),
            "flights.weather": data.weather,
            "flights.events": self._flights,
        }

    def _flights(self) -> Iterator[Event]:
        return islice(data.flights(), self.size)

    async def prove(self, gateway: Gateway) -> Proof:
        """Per carrier and per route: the numbers of flights and the mean delays equal those of the CSV."""
        expected = truth(self.size)
        # 16 carriers and 224 routes: one page of each holds all.
        carriers = (await gateway.ask("GET", "/carriers?limit=500")).body["items"]
        routes = (await gateway.ask("GET", "/routes?limit=500")).body["items"]
        by_route = {(row["origin"], row["destination"]): row for row in routes}
        checks = (
            compare("carriers: flights and mean delays", expected.carriers, {row["carrier"]: row for row in carriers}),
            compare("routes: flights and mean delays", expected.routes, by_route),
        )
        sent = {topic: sum(1 for _ in source()) for topic, source in self.events().items() if topic != "flights.events"}
        flights = {"flights.events": sum(delays.flights for delays in expected.carriers.values())}
        return Proof(checks, sent | flights, sum(row["flights"] for row in carriers))


def compare(what: str, expected: Mapping[Any, Delays], found: Mapping[Any, Mapping[str, Any]]) -> Check:
    """The rows that were found beside the sums, key by key."""
    differences = [f"{key}: not in the CSV" for key in found.keys() - expected.keys()]
    for key, delays in expected.items():
        row = found.get(key)
        if row is None:
            differences.append(f"{key}: missing")
            continue
        differences += [
            f"{key}: {name} is {row[name]}, in the CSV {getattr(delays, name)}"
            for name in (*COUNTED, *MEANS)
            if not _same(row[name], getattr(delays, name))
        ]
    return Check(what, len(expected), tuple(differences))


def _same(found: float | None, expected: float | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return abs(found - expected) <= RELATIVE_ERROR_MAX * max(1.0, abs(expected))
