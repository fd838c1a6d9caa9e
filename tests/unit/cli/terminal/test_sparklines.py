"""Figures in little room."""

import pytest
from atlas_cli.terminal.sparklines import ASCII_BARS, BARS, bars_of, short_number, short_span, sparkline
from hypothesis import given
from hypothesis import strategies as st


def test_a_line_goes_from_nothing_to_the_most() -> None:
    assert sparkline([0, 1, 7, None, 3.5]) == "▁▂█ ▅"
    assert sparkline([0, 0, None]) == "▁▁ "
    assert sparkline([]) == ""
    assert sparkline([None, 1], ASCII_BARS, "_") == "_#"
    assert sparkline([1, 1_000_000]) == "▂█", "a little is more than nothing"


@given(st.lists(st.none() | st.floats(0, 1e18, allow_nan=False), max_size=40))
def test_a_line_has_a_bar_a_value_and_the_most_has_the_highest(values: list[float | None]) -> None:
    line = sparkline(values)
    assert len(line) == len(values)
    most = max((each for each in values if each), default=None)
    for value, bar in zip(values, line, strict=True):
        assert (bar == " ") == (value is None)
        assert (bar == BARS[0]) == (value == 0)
        assert bar == BARS[-1] or value is None or value != most


def test_a_terminal_without_bars_has_others() -> None:
    assert (bars_of("utf-8"), bars_of("ascii"), bars_of(None), bars_of("no such")) == (BARS, *(ASCII_BARS,) * 3)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0, "0"),
        (0.0, "0"),
        (0.5, "0.5"),
        (99.96, "100.0"),
        (100.4, "100"),
        (9999, "9999"),
        (10000, "10.0k"),
        (123456, "123k"),
        (1234567, "1.2M"),
        (9999999, "10.0M"),
        (2000000000.0, "2.0G"),
        (300000000000000.0, "300T"),
    ],
)
def test_a_number_in_six_characters(value: float | None, text: str) -> None:
    assert short_number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.0, "0s"),
        (0.42, "0.4s"),
        (12.9, "12s"),
        (600.0, "10m00s"),
        (11100, "3h05m"),
        (183600, "2d03h"),
        (86399.9, "23h59m"),
        (3599.9, "59m59s"),
        (100000000.0, "1157d09h"),
    ],
)
def test_a_span_in_two_units(seconds: float | None, text: str) -> None:
    assert short_span(seconds) == text
