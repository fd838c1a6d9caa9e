"""What is declared of projections, topics, events and keys fits together, or is named."""

from dataclasses import replace
from typing import Any

import pytest
from atlas_contracts.registry import Registry
from atlas_hauls.projections.hauls import HAULS
from atlas_hauls.projections.routes import ROUTES
from atlas_projector.declared import check, faults
from atlas_yards.projection import YARDS
from hypothesis import given
from hypothesis import strategies as st

from tests.contexts import SCHEMAS
from tests.neutral import PROJECTIONS

REGISTRY = Registry.load(SCHEMAS)


def summed(**changed: Any) -> Any:
    """Hauls by carrier in one table, although each haul has a partition of its own."""
    table = replace(ROUTES.table, per_partition=False, view=None)
    return replace(ROUTES, name="sums", table=table, **changed)


def test_those_that_there_are_are_right() -> None:
    assert faults(PROJECTIONS, REGISTRY) == {}
    assert check(PROJECTIONS, SCHEMAS) == 0


@pytest.mark.parametrize(
    ("projection", "reason"),
    [
        (replace(YARDS, topics=("yard.events",)), r"reads yard\.events, .* \(is yards\.events meant\?\)"),
        (replace(YARDS, topics=("no.such",)), r"reads no\.such, which topics\.yaml does not have$"),
        (
            replace(YARDS, handlers={"yards.YardRegisterd": None}),
            r"handles yards\.YardRegisterd, which none of its topics takes \(is yards\.YardRegistered meant\?\)",
        ),
        (
            replace(HAULS, handlers={"yards.YardRegistered": None}),
            r"handles yards\.YardRegistered, which none of its topics takes; yards\.events does",
        ),
        (summed(), r"its key is origin, destination, but records of hauls\.HaulDeparted .* keyed by haul_id"),
        (
            replace(HAULS, table=replace(HAULS.table, columns={**HAULS.table.columns, "x": "text"}, key=("x",))),
            r"its key is x, and hauls\.HaulDeparted has no field x",
        ),
        (replace(YARDS, topics=("hauls.events",)), r"`versioned`"),
        (replace(HAULS, topics=("hauls.events", "hauls.roads")), r"different numbers of partitions: 2, 4"),
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
    found = faults([*PROJECTIONS, replace(ROUTES, name="hauls")], REGISTRY)
    assert found.keys() == {"hauls"}
    assert "2 projections have this name" in found["hauls"]


@given(st.sets(st.sampled_from(["haul_id", "carrier", "origin", "destination"]), min_size=1), st.booleans())
def test_rows_of_a_key_come_from_one_partition(key: set[str], per_partition: bool) -> None:
    """A table is right exactly if its key has the record's, or each partition has rows of its own."""
    table = replace(ROUTES.table, columns={**ROUTES.table.columns, **dict.fromkeys(key, "text")}, view=None)
    projection = replace(ROUTES, table=replace(table, key=tuple(sorted(key)), per_partition=per_partition), reads=None)
    assert (faults([projection], REGISTRY) == {}) == (per_partition or "haul_id" in key)
