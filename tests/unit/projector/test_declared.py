"""What is declared of projections, topics, events and keys fits together, or is named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from atlas_contracts.registry import Registry
from atlas_flights.projections.flights import FLIGHTS
from atlas_flights.projections.routes import ROUTES
from atlas_projector.declared import check, faults
from atlas_users.projection import USERS
from hypothesis import given
from hypothesis import strategies as st

from tests.samples import PROJECTIONS

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas"
REGISTRY = Registry.load(SCHEMAS)


def summed(**changed: Any) -> Any:
    """Flights by carrier in one table, although each flight has a partition of its own."""
    table = replace(ROUTES.table, per_partition=False, view=None)
    return replace(ROUTES, name="sums", table=table, **changed)


def test_those_that_there_are_are_right() -> None:
    assert faults(PROJECTIONS, REGISTRY) == {}
    assert check(PROJECTIONS, SCHEMAS) == 0


@pytest.mark.parametrize(
    ("projection", "reason"),
    [
        (replace(USERS, topics=("user.events",)), r"reads user\.events, .* \(is users\.events meant\?\)"),
        (replace(USERS, topics=("no.such",)), r"reads no\.such, which topics\.yaml does not have$"),
        (
            replace(USERS, handlers={"users.UserRegisterd": None}),
            r"handles users\.UserRegisterd, which none of its topics takes \(is users\.UserRegistered meant\?\)",
        ),
        (
            replace(FLIGHTS, handlers={"users.UserRegistered": None}),
            r"handles users\.UserRegistered, which none of its topics takes; users\.events does",
        ),
        (summed(), r"its key is origin, destination, but records of flights\.FlightDeparted .* keyed by flight_id"),
        (
            replace(FLIGHTS, table=replace(FLIGHTS.table, columns={**FLIGHTS.table.columns, "x": "text"}, key=("x",))),
            r"its key is x, and flights\.FlightDeparted has no field x",
        ),
        (replace(USERS, topics=("flights.events",)), r"`versioned`"),
        (replace(FLIGHTS, topics=("flights.events", "flights.weather")), r"different numbers of partitions: 2, 4"),
    ],
)
def test_what_can_t_be_right_is_named(projection: Any, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = faults([*PROJECTIONS[1:], replace(projection, name="wrong")], REGISTRY)
    assert found.keys() == {"wrong"}
    (line,) = found.values()
    assert "\n" not in line
    import re

    assert re.search(reason, line), line
    assert check([replace(projection, name="wrong")], SCHEMAS) == 1
    assert capsys.readouterr().err.startswith("projection wrong: ")


def test_a_name_used_twice_refuses_both() -> None:
    found = faults([*PROJECTIONS, replace(ROUTES, name="flights")], REGISTRY)
    assert found.keys() == {"flights"}
    assert "2 projections have this name" in found["flights"]


@given(st.sets(st.sampled_from(["flight_id", "carrier", "origin", "destination"]), min_size=1), st.booleans())
def test_rows_of_a_key_come_from_one_partition(key: set[str], per_partition: bool) -> None:
    """A table is right exactly if its key has the record's, or each partition has rows of its own."""
    table = replace(ROUTES.table, columns={**ROUTES.table.columns, **dict.fromkeys(key, "text")}, view=None)
    projection = replace(ROUTES, table=replace(table, key=tuple(sorted(key)), per_partition=per_partition), reads=None)
    assert (faults([projection], REGISTRY) == {}) == (per_partition or "flight_id" in key)
