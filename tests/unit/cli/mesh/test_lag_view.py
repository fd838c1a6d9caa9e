"""The table of a frame in 80 columns, and lines where no terminal is."""

import json
from typing import Any

import pytest
from atlas_cli.mesh import lag_view as module
from atlas_cli.mesh.lag_view import lag_view, table
from atlas_cli.mesh.lag_watch import BARS_KEPT, Frame
from atlas_cli.terminal.sparklines import BARS
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console


def row(**changes: Any) -> dict[str, Any]:
    fields = {
        "group": "g",
        "topic": "t",
        "records": 1_234_567,
        "seconds": 600.0,
        "state": "lagging",
        "read_per_s": 12.5,
    }
    return fields | changes


def drawn(frame: Frame, width: int = 80, height: int = 20) -> list[str]:
    console = Console(width=width, force_terminal=False)
    with console.capture() as captured:
        console.print(table(frame, width, height, BARS))
    return captured.get().splitlines()


def test_a_row_has_figures_and_the_last_minutes() -> None:
    line = drawn(Frame([row()], {("g", "t"): [None] * (BARS_KEPT - 2) + [0.0, 9.0]}))[2]
    assert line.split() == ["g", "t", "1.2M", "10m00s", "12.5", "lagging", "▁█"]


@pytest.mark.parametrize(
    ("status", "style"),
    [("stalled", "31m"), ("falling-behind", "33m"), ("ok", "2m"), ("catching-up", ""), (None, "")],
)
def test_the_status_of_the_last_minute_is_shown_and_coloured(status: str | None, style: str) -> None:
    console = Console(width=100, force_terminal=True, color_system="standard", legacy_windows=False)
    with console.capture() as captured:
        console.print(table(Frame([row(status=status)], {}), 100, 9, BARS))
    line = captured.get().splitlines()[2]
    assert (status or "lagging") in line
    assert (f"\x1b[{style}" in line) if style else ("\x1b[3" not in line and "\x1b[2m" not in line)


def test_names_of_the_mesh_are_whole_in_80_columns_and_the_status_shows_where_there_is_room() -> None:
    frame = Frame([row(group="projector.departures", topic="hauls.referenced")], {})
    narrow, wide = drawn(frame), drawn(frame, 104)
    assert narrow[2].startswith("projector.departures  hauls.referenced")
    assert "status" not in narrow[1]
    assert "status" in wide[1]
    assert "last 4 min" in narrow[1]


@given(
    st.text(max_size=80),
    st.text(min_size=1, max_size=80),
    st.integers(0, 2**63),
    st.none() | st.floats(0, 1e9, allow_nan=False),
    st.integers(80, 200),
)
def test_no_line_is_wider_than_the_terminal(group: str, topic: str, records: int, seconds: float, width: int) -> None:
    from rich.cells import cell_len

    frame = Frame([row(group=group, topic=topic, records=records, seconds=seconds, read_per_s=1e9)] * 3, {}, topic)
    lines = drawn(frame, width, 2)
    assert len(lines) == 6, "head, names, two rows, what is left out, what is wrong"
    assert max(map(cell_len, lines)) <= width


def test_no_more_rows_than_the_screen_has() -> None:
    lines = drawn(Frame([row(group=f"g{number}") for number in range(9)], {}), height=4)
    assert len(lines) == 2 + 4 + 1
    assert lines[-1].strip() == "and 5 more"


def test_lines_where_no_terminal_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_clock", lambda _form: "12:00:00Z")
    with lag_view(as_json=False) as show:
        show(Frame([row(group="g\x1b", read_per_s=None)], {}))
        show(Frame([], {}))
        show(Frame([row()], {}, "the aggregator is away"))
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "12:00:00Z g\\x1b t  records 1234567  seconds 600.0  lagging",
        "12:00:00Z no group reads or has read anything",
    ]
    assert said.err == "12:00:00Z the aggregator is away\n"


def test_a_document_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with lag_view(as_json=True) as show:
        show(Frame([row()], {}))
        show(Frame([row()], {}, "away"))
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["items"] == second["items"] == [row()]
    assert (first["trouble"], second["trouble"]) == (None, "away")
