"""The truth about the flights of 2013, straight from the CSV: what the read models have to answer."""

import csv
import io
import zipfile
from dataclasses import dataclass, field, fields
from itertools import islice

from atlas_flights.demo.data import FLIGHTS, data_dir


@dataclass(slots=True)
class Delays:
    """What a carrier's or a route's flights add up to; delays in minutes, of the flights that have one."""

    flights: int = 0
    departed: int = 0
    cancelled: int = 0
    departure_delay_sum: int = 0
    departure_delay_count: int = 0
    arrival_delay_sum: int = 0
    arrival_delay_count: int = 0

    def add(self, other: "Delays") -> None:
        """Take the other's flights in."""
        for part in fields(self):
            setattr(self, part.name, getattr(self, part.name) + getattr(other, part.name))

    @property
    def mean_departure_delay_minutes(self) -> float | None:
        return self.departure_delay_sum / self.departure_delay_count if self.departure_delay_count else None

    @property
    def mean_arrival_delay_minutes(self) -> float | None:
        return self.arrival_delay_sum / self.arrival_delay_count if self.arrival_delay_count else None


@dataclass(slots=True)
class Truth:
    """The sums per carrier and per (origin, destination)."""

    carriers: dict[str, Delays] = field(default_factory=dict)
    routes: dict[tuple[str, str], Delays] = field(default_factory=dict)


def truth(first: int = FLIGHTS) -> Truth:
    """The sums of the first flights: nothing here is shared with how flights become events."""
    totals: dict[tuple[str, str, str], Delays] = {}
    with zipfile.ZipFile(data_dir() / "flights.csv.zip").open("flights.csv") as raw:
        for line in islice(csv.DictReader(io.TextIOWrapper(raw, "utf-8", newline="")), first):
            total = totals.setdefault((line["carrier"], line["origin"], line["dest"]), Delays())
            total.flights += 1
            if line["dep_time"] == "NA":
                total.cancelled += 1
            else:
                total.departed += 1
            if line["dep_delay"] != "NA":
                total.departure_delay_sum += int(line["dep_delay"])
                total.departure_delay_count += 1
            if line["arr_delay"] != "NA":
                total.arrival_delay_sum += int(line["arr_delay"])
                total.arrival_delay_count += 1
    found = Truth()
    for (carrier, origin, destination), total in totals.items():
        found.carriers.setdefault(carrier, Delays()).add(total)
        found.routes.setdefault((origin, destination), Delays()).add(total)
    return found
