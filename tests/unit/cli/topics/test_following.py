"""Where `--from` begins."""

import pytest
from atlas_cli.terminal.output import CommandError
from atlas_cli.topics.following import Start, parse_start

NOW = 1_357_035_300_000


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("beginning", Start("beginning")),
        ("end", Start("end")),
        ("0", Start("offset", 0)),
        ("1200", Start("offset", 1200)),
        ("-10m", Start("time", NOW - 600_000)),
        ("-45s", Start("time", NOW - 45_000)),
        ("-2h", Start("time", NOW - 7_200_000)),
        ("-1d", Start("time", NOW - 86_400_000)),
        ("2013-01-01T10:15:00Z", Start("time", NOW)),
        ("2013-01-01T05:15:00-05:00", Start("time", NOW)),
        ("2013-01-01T10:15", Start("time", NOW)),
        ("2013-01-01", Start("time", NOW - 36_900_000)),
    ],
)
def test_a_place_to_begin_is_understood(text: str, start: Start) -> None:
    assert parse_start(text, now_ms=NOW) == start


@pytest.mark.parametrize("text", ["", "start", "-10", "-10w", "10m", "1.5", "-5", "2013-13-01", "²"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="not beginning, end"):
        parse_start(text, now_ms=NOW)
