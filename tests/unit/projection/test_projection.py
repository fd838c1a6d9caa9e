from dataclasses import replace

import pytest
from atlas_flights.projections.flights import FLIGHTS
from atlas_flights.projections.routes import ROUTES
from atlas_readmodel.documents import Documents
from atlas_users.projection import USERS

from tests.samples import PROJECTIONS


def test_every_name_is_used_once() -> None:
    names = [projection.name for projection in PROJECTIONS]
    assert sorted(names) == sorted(set(names))


def test_a_version_column_must_exist_and_be_read() -> None:
    with pytest.raises(ValueError, match="versioned"):
        replace(USERS, versioned="revision")
    with pytest.raises(ValueError, match="versioned"):
        replace(FLIGHTS, versioned="flight_number")


def test_rows_by_partition_can_not_be_cached() -> None:
    with pytest.raises(ValueError, match="cached"):
        replace(ROUTES, cached=True)


def test_documents_are_a_table_by_another_name() -> None:
    documents = replace(USERS, table=Documents(("user_id",)), cached=False)
    assert (documents.key, documents.ordered, documents.model.name) == (("user_id",), True, "users")
    with pytest.raises(ValueError, match="cached"):
        replace(documents, cached=True)
    with pytest.raises(ValueError, match="versioned"):
        replace(documents, replaces=True)


def test_a_reserved_name_is_refused() -> None:
    with pytest.raises(ValueError, match="positions"):
        replace(USERS, name="positions")
