from dataclasses import replace

import pytest
from atlas_hauls.projections.hauls import HAULS
from atlas_hauls.projections.routes import ROUTES
from atlas_readmodel.documents import Documents
from atlas_yards.projection import YARDS

from tests.neutral import PROJECTIONS


def test_every_name_is_used_once() -> None:
    names = [projection.name for projection in PROJECTIONS]
    assert sorted(names) == sorted(set(names))


def test_a_version_column_must_exist_and_be_read() -> None:
    with pytest.raises(ValueError, match="versioned"):
        replace(YARDS, versioned="revision")
    with pytest.raises(ValueError, match="versioned"):
        replace(HAULS, versioned="haul_number")


def test_rows_by_partition_can_not_be_cached() -> None:
    with pytest.raises(ValueError, match="cached"):
        replace(ROUTES, cached=True)


def test_documents_are_a_table_by_another_name() -> None:
    documents = replace(YARDS, table=Documents(("yard_id",)), cached=False)
    assert (documents.key, documents.ordered, documents.model.name) == (("yard_id",), True, "yards")
    with pytest.raises(ValueError, match="cached"):
        replace(documents, cached=True)
    with pytest.raises(ValueError, match="versioned"):
        replace(documents, replaces=True)


def test_a_reserved_name_is_refused() -> None:
    with pytest.raises(ValueError, match="positions"):
        replace(YARDS, name="positions")
