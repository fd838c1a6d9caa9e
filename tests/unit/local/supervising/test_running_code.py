"""Which services a change of a file restarts."""

from pathlib import Path

import pytest
from atlas_local.supervising.running_code import digest

SERVICES = ("gateway", "projector", "archiver", "relay", "health-aggregator")
PROJECT = """
[project]
name = "atlas-shop"
[project.entry-points."atlas.routes"]
shop = "atlas_shop.commands:ROUTES"
[project.entry-points."atlas.projections"]
shop = "atlas_shop.projections:PROJECTIONS"
"""
FILES = {
    "schemas/topics.yaml": "",
    "schemas/shop/sold.v1.avsc": "",
    "contexts/shop/pyproject.toml": PROJECT,
    "contexts/shop/atlas_shop/__init__.py": "",
    "contexts/shop/atlas_shop/commands/__init__.py": "from atlas_shop import prices\n",
    "contexts/shop/atlas_shop/commands/sell.py": "import atlas_shop.bodies\n",
    "contexts/shop/atlas_shop/bodies.py": "",
    "contexts/shop/atlas_shop/prices.py": "",
    "contexts/shop/atlas_shop/projections/__init__.py": "",
    "contexts/shop/atlas_shop/projections/sales.py": "from atlas_shop.prices import PRICE\n",
    "contexts/shop/atlas_shop/unused.py": "",
    "contexts/shop/tests/test_sell.py": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def digests(root: Path) -> dict[str, str]:
    return {service: digest(service, root, root / "schemas") for service in SERVICES}


@pytest.mark.parametrize(
    ("path", "restarted"),
    [
        ("schemas/topics.yaml", {"gateway", "projector", "archiver"}),
        ("schemas/shop/sold.v2.avsc", {"gateway", "projector", "archiver"}),
        ("contexts/shop/atlas_shop/commands/sell.py", {"gateway"}),
        ("contexts/shop/atlas_shop/commands/new.py", {"gateway"}),
        ("contexts/shop/atlas_shop/bodies.py", {"gateway"}),
        ("contexts/shop/atlas_shop/prices.py", {"gateway", "projector"}),
        ("contexts/shop/atlas_shop/projections/sales.py", {"gateway", "projector"}),
        ("contexts/shop/atlas_shop/unused.py", set()),
        ("contexts/shop/tests/test_sell.py", set()),
        ("README.md", set()),
    ],
)
def test_a_change_restarts_what_runs_it(root: Path, path: str, restarted: set[str]) -> None:
    before = digests(root)
    assert digests(root) == before
    (root / path).write_text("x = 1\n")
    after = digests(root)
    assert {service for service in SERVICES if before[service] != after[service]} == restarted


def test_a_context_more_or_less_restarts_what_runs_it(root: Path) -> None:
    before = digests(root)
    (root / "contexts/shop/pyproject.toml").unlink()
    after = digests(root)
    assert {service for service in SERVICES if before[service] != after[service]} == {"gateway", "projector"}


@pytest.mark.parametrize("text", ["def (", "\0", "\udce9"])
def test_what_can_not_be_read_changes_too(root: Path, text: str) -> None:
    path = root / "contexts/shop/atlas_shop/commands/sell.py"
    path.write_bytes(text.encode(errors="surrogateescape"))
    broken = digests(root)
    path.write_text("fine = 1\n")
    assert digests(root)["gateway"] != broken["gateway"]
    (root / "contexts/shop/pyproject.toml").write_text("[[")
    assert digests(root)["gateway"] != broken["gateway"]


def test_what_runs_none_of_it_has_no_digest(root: Path) -> None:
    assert digests(root)["relay"] == digests(root)["health-aggregator"] == ""
