"""`atlas flags` lists what contexts declare."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.commands.serving import run


def test_every_flag_with_its_value_and_where_it_is_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "flags.json"
    monkeypatch.setenv("ATLAS_FLAGS", '{"users.registration": true}')
    monkeypatch.setenv("ATLAS_FLAGS_FILE", str(file))
    (row,) = [row for row in json.loads(run("flags", "--json")) if row["flag"] == "users.registration"]
    assert (row["type"], row["default"], row["value"], row["from"]) == ("bool", True, True, "settings")
    file.write_text('{"users.registration": false}')
    assert "False" in run("flags")
