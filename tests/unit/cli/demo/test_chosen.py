"""Which demos run, how large, and what is said where there is none."""

import json
from typing import Any

import pytest
from atlas_cli.demo.chosen import chosen, places
from atlas_cli.settings import CliSettings
from atlas_cli.terminal.output import CommandError
from atlas_runtime import contexts
from atlas_runtime.demo import Demo, Gateway, Proof

from tests.unit.cli.commands.serving import run, serving
from tests.unit.cli.conftest import point_at


class Bookings(Demo):
    demo_size = 100
    seed_size = 10
    look = ("/bookings",)

    async def prove(self, gateway: Gateway) -> Proof:
        raise AssertionError


def offer(monkeypatch: pytest.MonkeyPatch, classes: dict[str, type[Demo]]) -> None:
    def offered(group: str, only: Any) -> dict[str, type[Demo]]:
        assert group == contexts.DEMO
        return {name: each for name, each in classes.items() if not only or name in only}

    monkeypatch.setattr(contexts, "offered", offered)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> CliSettings:
    offer(monkeypatch, {"bookings": Bookings, "orders": Bookings})
    monkeypatch.delenv("ATLAS_CONTEXTS")
    return CliSettings()


def sizes(settings: CliSettings, *texts: str) -> dict[str, int]:
    return {name: demo.size for name, demo in chosen(settings, texts, lambda each: each.seed_size).items()}


def test_the_size_is_the_usual_one_or_what_is_asked_for(settings: CliSettings) -> None:
    assert sizes(settings) == {"bookings": 10, "orders": 10}
    assert sizes(settings, "orders=3") == {"bookings": 10, "orders": 3}


def test_the_setting_chooses_contexts(settings: CliSettings) -> None:
    assert sizes(settings.model_copy(update={"contexts": ("orders",)})) == {"orders": 10}


@pytest.mark.parametrize("text", ["orders", "orders=", "=3", "orders=0", "orders=-1", "orders=x", "orders=99999999999"])
def test_what_is_no_size_is_named(settings: CliSettings, text: str) -> None:
    with pytest.raises(CommandError, match=f"--size {text}: not CONTEXT=N"):
        sizes(settings, text)


def test_a_context_without_a_demo_is_named(settings: CliSettings) -> None:
    with pytest.raises(CommandError, match="no context seats has a demo; there are: bookings, orders"):
        sizes(settings, "seats=3")


def test_where_to_look(settings: CliSettings) -> None:
    demos = chosen(settings, ["orders=1"], lambda each: each.seed_size)
    assert places("http://x", demos) == ["http://x/bookings", "http://x/bookings"]


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, {})


@pytest.mark.parametrize("command", ["demo", "seed"])
def test_without_a_demo_it_says_what_to_do_once_the_mesh_is_up(
    command: str, empty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def ready(_method: str, path: str, _body: bytes) -> tuple[int, Any]:
        asked.append(path)
        return 200, {}

    with serving(ready) as url:
        point_at(monkeypatch, url)
        said = run(command)
        assert json.loads(run(command, "--json"))["mismatches"] == 0
    assert set(asked) == {"/health/ready"}
    assert "atlas new context NAME" in said
    assert "atlas new event NAME." in said


@pytest.mark.parametrize("command", ["demo", "seed"])
def test_without_a_demo_and_without_a_mesh_it_says_how_to_start_one(
    command: str, empty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_at(monkeypatch, "http://127.0.0.1:1")
    with pytest.raises(CommandError, match="start the mesh: atlas up"):
        run(command)
