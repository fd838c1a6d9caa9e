"""Contexts are found by their entry points, and one that is broken or missing is named."""

from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest
from atlas_runtime import contexts
from atlas_runtime.contexts import PROJECTIONS, ROUTES, BrokenContext

INSTALLED = EntryPoints(
    [
        EntryPoint("b", "string:digits", ROUTES),
        EntryPoint("a", "string:ascii_lowercase", ROUTES),
        EntryPoint("a", "string:hexdigits", PROJECTIONS),
        EntryPoint("gone", "no_such_module_anywhere:X", contexts.MIGRATIONS),
    ]
)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry_points(**wanted: Any) -> EntryPoints:
        return INSTALLED.select(**wanted)

    monkeypatch.setattr(contexts, "entry_points", entry_points)


def test_all_of_them_in_order() -> None:
    assert contexts.contexts() == ["a", "b", "gone"]
    assert list(contexts.offered(ROUTES)) == ["a", "b"]
    assert contexts.flat(ROUTES)[-1] == "9"


def test_only_those_that_are_chosen() -> None:
    assert contexts.flat(ROUTES, ("b",)) == list("0123456789")
    assert contexts.offered(PROJECTIONS, ("b",)) == {}


def test_one_that_is_not_installed_is_named() -> None:
    with pytest.raises(BrokenContext, match="no context c is installed; installed: a, b, gone"):
        contexts.offered(ROUTES, ("a", "c"))


def test_one_that_can_not_be_loaded_is_named() -> None:
    with pytest.raises(BrokenContext, match="the context gone can't be loaded: no_such_module_anywhere:X"):
        contexts.offered(contexts.MIGRATIONS)
