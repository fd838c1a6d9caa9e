"""Whatever a text holds, the terminal is not spoken to, and what is printed says which character it was."""

import io
import json
import sys

import pytest
import typer
from atlas_cli.terminal.output import (
    CommandError,
    confirm,
    console,
    inline_json,
    overwrite,
    print_json,
    print_rows,
    printable,
    say,
    spinner,
)
from hypothesis import given
from hypothesis import strategies as st

HOSTILE = [
    "[/red]",
    "[bold]x[/bold]",
    "[link=http://evil]x[/link]",
    ":smiley:",
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[31m",
    "\x9b31m",
    "a\nb\rc\td\x08\x0b\x0c\x85",
    "\u202egnp.exe",
    "\u2066a\u2069\u200b\ufeff\u2028\u2029",
    "\x00\x7f\ud800\U000e0041",
    "",
]
ANY = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(), max_size=40))


def harmless(text: str) -> bool:
    """Nothing in it but what takes up room on the screen, and the ends of lines."""
    return all(each.isprintable() or each == "\n" or each in "\u00a0\u3000" or (each.isspace() and ord(each) > 0x1000)
               for each in text)  # fmt: skip


@given(ANY)
def test_a_printable_text_is_one_harmless_line(text: str) -> None:
    shown = printable(text)
    assert harmless(shown)
    assert "\n" not in shown
    shown.encode()  # no surrogate is left


def test_escapes_are_those_of_python_and_letters_stay() -> None:
    assert printable("naïve 日本\u3000語 ✓ 😀") == "naïve 日本\u3000語 ✓ 😀"
    assert printable("\x1b[31m\n\u202e\x9b\ud800") == r"\x1b[31m\n\u202e\x9b\ud800"
    assert printable("[/red]") == "[/red]"


@pytest.mark.parametrize("text", HOSTILE)
def test_no_way_out_of_here_lets_a_text_act(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(text)
    say(text, err=True)
    overwrite(text)
    print_rows([{text or "column": text, "other": 1}], as_json=False, title=text)
    print_rows([{"x": [text]}], as_json=False)
    print_rows([], as_json=False, empty=text)
    console().print(printable(text))
    with spinner(text) as tell:
        tell(text)
    out, err = capsys.readouterr()
    assert harmless(out)
    assert harmless(err.replace("\r", ""))  # the carriage return of overwrite, which is ours


@given(ANY)
def test_json_takes_back_what_it_was_given(text: str) -> None:
    import contextlib
    import io

    for one_line in (False, True):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            print_json({"key": text, text: [text]}, one_line=one_line)
        assert harmless(out.getvalue())
        assert json.loads(out.getvalue()) == {"key": text, text: [text]}
        if one_line:
            assert out.getvalue().count("\n") == 1


def test_a_table_shows_markup_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"key": "[/red]", "n": 1}, {"key": None, "n": 2}], as_json=False, title="[x]")
    out = capsys.readouterr().out
    assert "[/red]" in out
    assert "[x]" in out
    assert "None" not in out


def test_values_without_a_form_in_json_are_text() -> None:
    assert inline_json({"a": 2**70, "b": b"x"}) == f'{{"a":{2**70},"b":"b\'x\'"}}'


def test_a_column_without_a_value_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"key": "a", "error": None}, {"key": "b", "error": ""}], as_json=False)
    assert capsys.readouterr().out.split() == ["key", "a", "b"]


def test_where_words_do_not_fit_columns_go_and_then_rows_are_blocks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"id": 1, "type": "hauls.HaulDeparted", "topic": "hauls.events"}
    monkeypatch.setenv("COLUMNS", "42")
    print_rows([row], as_json=False, spare=("topic",))
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["id", "type", "topic"],
        ["1", "hauls.HaulDeparted", "hauls.events"],
    ]
    monkeypatch.setenv("COLUMNS", "30")
    print_rows([row], as_json=False, spare=("topic",))
    assert "topic" not in capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "21")
    print_rows([row], as_json=False, spare=("topic",))
    assert capsys.readouterr().out.splitlines() == [
        "id     1",
        "type   hauls.HaulDeparted",
        "topic  hauls.events",
    ]


@pytest.mark.parametrize(
    ("typed", "raised"), [("y\n", None), ("n\n", typer.Abort), ("\n", typer.Abort), ("", CommandError)]
)
def test_without_a_yes_nothing_goes_on(
    typed: str, raised: type[Exception] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    if raised is None:
        confirm("Delete it?", yes=False)
    else:
        with pytest.raises(raised):
            confirm("Delete it?", yes=False)
    confirm("Delete it?", yes=True)
