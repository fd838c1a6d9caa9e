import pytest
from atlas_readmodel.token import EntityVersion, InvalidToken, RecordPosition, Token


@pytest.mark.parametrize(
    "text",
    [
        "yards/0190aaaa-0000-7000-8000-000000000000@3",
        "hauls.events/0@41",
        "hauls.events/0@41;hauls.events/3@7",
        "yards:yards.events/0@41",
    ],
)
def test_a_token_comes_back_as_it_was(text: str) -> None:
    assert str(Token.parse(text)) == text


def test_the_two_kinds() -> None:
    assert Token.parse("yards/7@3").entity == EntityVersion("yards", "7", 3)
    assert Token.parse("yards.events/7@3").records == (RecordPosition("yards.events", 7, 3),)
    assert Token.parse("routes:hauls.events/7@3").projection == "routes"


def test_from_records_the_order_is_fixed() -> None:
    assert str(Token.of_records({("b.events", 1): 5, ("a.events", 9): 2})) == "a.events/9@2;b.events/1@5"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yards",
        "yards/1",
        "yards/@1",
        "yards/1@",
        "yards/1@-1",
        "yards/1@x",
        "a.b/1@2;yards/1@2",
        "x y/1@2",
        "a:t.e/1@2;b:t.e/2@2",
        "yards/1@2;yards/2@2",
        ";".join(["t.e/1@1"] * 1001),
        "yards/1@" + "9" * 40,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidToken):
        Token.parse(text)


@pytest.mark.parametrize("key", ["a\x00b", "\x1f", "\x7f", "\udcff"])
def test_a_key_that_no_row_can_have_is_no_token(key: str) -> None:
    with pytest.raises(InvalidToken):
        Token.parse(f"yards/{key}@1")


@pytest.mark.parametrize("text", ["yards/7@\u0663", "a.b/\u0663@1", "a.b/1@\u0663"])
def test_digits_are_those_of_ascii(text: str) -> None:
    with pytest.raises(InvalidToken):
        Token.parse(text)
