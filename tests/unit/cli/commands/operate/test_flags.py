"""`atlas flags` lists what contexts declare."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from atlas_flags.flag import Flag
from atlas_runtime import contexts
from openfeature import api

from tests.unit.cli.commands.serving import run


@pytest.fixture(autouse=True)
def _one_context(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    declared = {contexts.FLAGS: [Flag("orders.express", True, "Whether orders may be express")]}
    monkeypatch.setattr(contexts, "flat", lambda group, _chosen: declared[group])
    yield
    api.clear_providers()


def test_every_flag_with_its_value_and_where_it_is_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "flags.json"
    monkeypatch.setenv("ATLAS_FLAGS", '{"orders.express": true}')
    monkeypatch.setenv("ATLAS_FLAGS_FILE", str(file))
    (row,) = json.loads(run("flags", "--json"))
    assert row == {
        "flag": "orders.express",
        "type": "bool",
        "default": True,
        "value": True,
        "from": "settings",
        "description": "Whether orders may be express",
    }
    file.write_text('{"orders.express": false}')
    assert "False" in run("flags")
