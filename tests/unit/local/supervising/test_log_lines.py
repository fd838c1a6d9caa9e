"""Each part's own form of a line becomes the same: when, how bad, what."""

import json
from datetime import UTC, datetime

import pytest
from atlas_local.supervising.log_lines import LEVELS, LogLine, parse, parse_all, short
from hypothesis import given
from hypothesis import strategies as st

AT = datetime(2026, 11, 28, 11, 22, 28, 603000, UTC)
LOCAL = AT.astimezone()


@pytest.mark.parametrize(
    ("text", "level", "event"),
    [
        ("2026-11-28 11:22:28.603 UTC [7149] atlas@atlas ERROR:  deadlock detected", "error", "deadlock detected"),
        ("2026-11-28 11:22:28.603 UTC [7149] @ LOG:  ready", "info", "ready"),
        ("2026-11-28 11:22:28.603 UTC [7149] @ FATAL:  no", "critical", "no"),
        (f"7103:M {LOCAL:%d %b %Y %H:%M:%S}.603 * Ready to accept connections", "info", "Ready to accept connections"),
        (f"7103:M {LOCAL:%d %b %Y %H:%M:%S}.603 # WARNING Memory", "warning", "WARNING Memory"),
        (f"[{LOCAL:%Y-%m-%d %H:%M:%S},603] WARN slow (kafka.server)", "warning", "slow (kafka.server)"),
        ('ts=2026-11-28T11:22:28.603Z caller=main.go:9 level=warn msg="x"', "warning", 'msg="x"'),
        ("2026-11-28T11:22:28.603Z  WARN [/] 9 --- [main] c.l.Server : odd", "warning", "[main] c.l.Server : odd"),
        ("2026-11-28T11:22:28.603Z [info     ] starting    pid=7405", "info", "starting    pid=7405"),
    ],
)
def test_the_forms_of_the_servers(text: str, level: str, event: str) -> None:
    assert parse("part", text) == LogLine("part", event, AT, level, "part")


def test_one_that_leaves_out_the_year_is_of_this_one() -> None:
    today = datetime.now(UTC).astimezone()
    line = parse("s3", f"W{today:%m%d} 11:22:27.778231 master.go:400 no peers")
    assert line.at is not None
    assert line.at.astimezone().date() == today.date()
    assert (line.level, line.event) == ("warning", "master.go:400 no peers")


def test_a_line_of_a_service() -> None:
    document = {
        "timestamp": "2026-11-28T11:22:28.603000Z",
        "level": "error",
        "service": "relay",
        "event": "gone",
        "n": 1,
    }
    line = parse("relay-2", json.dumps(document))
    assert line == LogLine("relay-2", "gone", AT, "error", "relay", {"n": 1})
    assert line.document() == {**document, "part": "relay-2", "timestamp": document["timestamp"]}


def test_a_line_is_of_its_trace_and_of_those_of_its_batch() -> None:
    assert LogLine("a", "e", fields={"trace_id": "1"}).is_of("1")
    assert LogLine("a", "e", fields={"trace_id": "1", "traces": ["2", "3"]}).is_of("3")
    assert not LogLine("a", "e", fields={"traces": ["2"]}).is_of("1")


def test_what_has_no_time_goes_with_the_line_before() -> None:
    lines = list(parse_all("p", ["odd", "2026-11-28 11:22:28.603 UTC [1] @ ERROR:  a", "\tat b"]))
    assert [(line.at, line.level, line.event) for line in lines] == [
        (None, "", "odd"),
        (AT, "error", "a"),
        (AT, "error", "\tat b"),
    ]


def test_a_service_s_line_in_short() -> None:
    document = {
        "timestamp": "2026-11-28T11:22:28Z",
        "level": "error",
        "event": "crashed",
        "error": "E",
        "exception": "T\nE",
    }
    assert short(json.dumps(document)) == "error crashed error=E\nT\nE"
    assert short("of a server") == "of a server"
    assert short("{broken") == "{broken"


@given(
    st.text(max_size=60) | st.dictionaries(st.sampled_from(["timestamp", "level", "event"]), st.text()).map(json.dumps)
)
def test_any_text_is_a_line(text: str) -> None:
    line = parse("p", text)
    assert line.level in ("", *LEVELS) or text.startswith("{")
    assert isinstance(line.event, str)
