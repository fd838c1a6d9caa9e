"""`atlas produce` as a user runs it: what it prints and how it exits."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from atlas_cli.commands.events.produce import describe_error, register
from atlas_cli.terminal.output import CommandError
from typer.testing import CliRunner

from tests.unit.cli.commands.serving import serving

app = typer.Typer()
register(app)
app.callback()(lambda: None)  # so that the only command keeps its name

FAULT = {"path": "/carrier", "found": "3 (integer)", "expected": "string"}


def answer(_method: str, _path: str, body: bytes) -> tuple[int, Any]:
    """As the gateway's, which refuses records whose value is null."""
    records = [json.loads(line) for line in body.splitlines()]
    results = [
        {"partition": 0, "offset": 1} if record["value"] else {"error": {"detail": "invalid", "errors": [FAULT]}}
        for record in records
    ]
    failed = sum("error" in result for result in results)
    return 207 if failed else 200, {"results": results, "succeeded": len(results) - failed, "failed": failed}


@pytest.fixture(autouse=True)
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with serving(answer) as url:
        monkeypatch.setenv("ATLAS_GATEWAY_URL", url)
        yield


def atlas(*arguments: str, stdin: str = "", code: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(app, ["produce", *arguments], input=stdin, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def test_a_file_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text('{"type": "t", "value": {"a": 1}}\n' * 3)
    assert atlas("hauls.events", str(path)) == ("hauls.events: 3 sent, 0 failed\n", "")


def test_standard_input_is_read_and_refused_records_are_named() -> None:
    stdin = '{"type": "t", "value": {"a": 1}}\n{"type": "t", "value": null}\n'
    out, err = atlas("hauls.events", "-", stdin=stdin, code=1)
    assert out == "hauls.events: 1 sent, 1 failed\n"
    assert err == "line 2: /carrier: found 3 (integer), expected string\n"


def test_json_has_it_all() -> None:
    out, err = atlas("t", "-", "--json", stdin='{"type": "t", "value": null}', code=1)
    assert json.loads(out) == {
        "topic": "t",
        "succeeded": 0,
        "failed": 1,
        "errors": [{"line": 1, "detail": "invalid", "errors": [FAULT]}],
    }
    assert err == ""


def test_a_missing_file_is_for_its_writer_to_mend(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        atlas("t", str(tmp_path / "none"))


def test_an_error_without_fields_is_shown_in_its_own_words() -> None:
    assert describe_error({"line": 1, "detail": "not JSON"}) == "not JSON"
