"""Lines of many logs in the order of time: those that are asked for, in 80 columns or as JSON."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from atlas_cli.mesh import log_view
from atlas_cli.mesh.log_view import Wanted, print_logs, wanted, wrapped
from atlas_cli.terminal.output import CommandError
from atlas_local.home import Home
from hypothesis import given
from hypothesis import strategies as st

TRACE, OTHER = "4bf92f3577b34da6a3ce929d0e0e4736", "a" * 32
NOW = datetime.now(UTC).replace(microsecond=0)


def said(second: int, event: str, level: str = "info", **fields: Any) -> str:
    at = (NOW + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")
    return json.dumps({"timestamp": at, "level": level, "event": event, **fields}) + "\n"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.make()
    home.log("gateway").write_text(
        said(1, "request", "debug", service="gateway", trace_id=TRACE, route="/yards")
        + said(4, "request", "debug", service="gateway", trace_id=OTHER)
    )
    home.log("relay").write_text(
        said(2, "send outbox", "debug", service="relay", trace_id=OTHER, traces=[OTHER, TRACE])
    )
    home.log("projector").write_text(said(3, "refused", "error", service="projector", trace_id=TRACE, exception="A\nB"))
    home.log("projector").with_name("projector.log.1").write_text(said(0, "older", service="projector"))
    home.log("valkey").write_text("odd\n")
    return home


def events(out: str) -> list[str]:
    return [json.loads(line)["event"] for line in out.splitlines()]


def printed(capsys: pytest.CaptureFixture[str], home: Home, want: Wanted, *names: str, lines: int | None = None) -> Any:
    print_logs(home, names, want, lines=lines, follow=False, as_json=True)
    return events(capsys.readouterr().out)


def test_one_request_through_all_services_in_the_order_of_time(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    for trace in (TRACE, TRACE.upper(), f"00-{TRACE}-00f067aa0ba902b7-01"):
        assert printed(capsys, home, wanted(trace, (), None, None)) == ["request", "send outbox", "refused"]


def test_what_is_asked_for(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, home, Wanted()) == ["odd", "older", "request", "send outbox", "refused", "request"]
    assert printed(capsys, home, Wanted(), lines=1) == ["odd", "send outbox", "refused", "request"]
    assert printed(capsys, home, Wanted(), "gateway", "relay") == ["request", "send outbox", "request"]
    assert printed(capsys, home, wanted(None, ("projector",), None, None)) == ["older", "refused"]
    assert printed(capsys, home, wanted(None, (), "WARNING", None)) == ["odd", "refused"]
    since = (NOW + timedelta(seconds=3)).isoformat()
    assert printed(capsys, home, wanted(None, (), None, since)) == ["refused", "request"]
    assert printed(capsys, home, wanted(None, ("gateway",), "debug", "1h"), lines=1) == ["request"]


def test_a_trace_of_which_nothing_is_said(home: Home) -> None:
    with pytest.raises(CommandError, match="no line here is of the trace") as raised:
        print_logs(home, (), Wanted(trace="b" * 32), lines=None, follow=False, as_json=True)
    assert "ATLAS_LOG_LEVEL=DEBUG" in raised.value.details[0]


def test_columns_for_people(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    print_logs(home, ("gateway", "projector"), Wanted(trace=TRACE), lines=None, follow=False, as_json=False)
    first, second, *traceback = capsys.readouterr().out.splitlines()
    assert first == f"{NOW + timedelta(seconds=1):%H:%M:%S}.000Z debug gateway   request route=/yards"
    assert second.endswith(" error projector refused")
    assert traceback == ["    A", "    B"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("xyz", (), None, None), "is no trace id"),
        ((None, (), "loud", None), "is no level"),
        ((None, (), None, "yesterday"), "is no time"),
    ],
)
def test_an_option_that_says_nothing(options: Any, problem: str) -> None:
    with pytest.raises(CommandError, match=problem):
        wanted(*options)


def test_a_name_of_no_part(home: Home) -> None:
    with pytest.raises(CommandError, match="no part of the mesh is named gatway"):
        print_logs(home, ("gatway",), Wanted(), lines=None, follow=False, as_json=True)


def test_what_comes_is_shown_until_it_is_stopped(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = 0

    def write_more(_seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            with home.log("relay").open("a") as file:
                file.write(said(9, "not this") + said(10, "come", trace_id=TRACE) + '{"half')
        elif rounds == 2:
            home.log("relay").write_text(said(11, "cut", trace_id=TRACE))
        else:
            raise KeyboardInterrupt

    monkeypatch.setattr(log_view.time, "sleep", write_more)
    with pytest.raises(KeyboardInterrupt):
        print_logs(home, ("relay",), Wanted(trace=TRACE), lines=None, follow=True, as_json=True)
    assert events(capsys.readouterr().out) == ["send outbox", "come", "cut"]


@given(
    st.text(st.characters(codec="ascii", categories=("L", "N", "Zs")), max_size=200),
    st.lists(st.text("ab=", min_size=1, max_size=90)),
)
def test_no_line_is_wider_than_the_terminal(head: str, fields: list[str]) -> None:
    lines = list(wrapped(head, fields, 80))
    assert max(map(len, lines)) <= 80
    assert "".join("".join(lines).split()) == "".join("".join([head, *fields]).split()), "nothing is lost"
    assert list(wrapped(head, fields, None)) == [" ".join([head, *fields])]
