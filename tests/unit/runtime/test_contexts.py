"""Contexts are found by their entry points, and one that is broken or missing is named."""

import json
from importlib.metadata import EntryPoint, EntryPoints, distributions
from pathlib import Path
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


def test_one_whose_folder_was_deleted_is_no_context_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip still knows it."""
    (tmp_path / "here").mkdir()
    urls = {
        "here": f"file://{tmp_path}/here",
        "deleted": f"file://{tmp_path}/deleted",
        "bought": "https://example.org/x",
    }
    for name, url in urls.items():
        known = tmp_path / f"{name}-1.dist-info"
        known.mkdir()
        (known / "direct_url.json").write_text(json.dumps({"url": url}))
        (known / "entry_points.txt").write_text(f"[{ROUTES}]\n{name} = string:digits\n")
    found = [entry for each in distributions(path=[str(tmp_path)]) for entry in each.entry_points]
    monkeypatch.setattr(contexts, "entry_points", lambda **wanted: EntryPoints(found).select(**wanted))
    assert contexts.contexts() == ["bought", "here"]


def test_what_the_modules_of_a_package_have_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "gathering"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "b.py").write_text("ROUTES = (2, 3)\n")
    (package / "a.py").write_text("ROUTES = [1]\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert contexts.gathered("gathering", [str(package)], "ROUTES") == [1, 2, 3]
