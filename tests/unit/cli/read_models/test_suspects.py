"""What speaks against a record."""

from atlas_cli.read_models.suspects import Spoken, suspects


def spoken(
    offset: int, version: int | None, *, source: str = "/owner", event_id: str = "", key: bytes = b"u"
) -> Spoken:
    return Spoken(f"yards/t/0@{offset}", key, version, "yards.X", source, event_id or f"e{offset}", None)


def why(*records: Spoken, last: int | None = 3) -> dict[str, list[str]]:
    return {record.id.rpartition("@")[2]: record.why for record in suspects(records, {b"u": last}, "/owner")}


def test_an_owner_s_history_is_fine() -> None:
    assert why(spoken(1, 1), spoken(2, 2), spoken(3, 3)) == {}


def test_an_event_that_was_sent_twice_is_no_forgery() -> None:
    assert why(spoken(1, 1), spoken(2, 2, event_id="e"), spoken(3, 2, event_id="e")) == {}


def test_a_version_twice_names_both_and_the_source_tells_which() -> None:
    assert why(spoken(1, 1), spoken(2, 2, source="/x"), spoken(3, 2)) == {
        "2": ["source /x, where most have /owner", "version 2 is also at 0@3"],
        "3": ["version 2 is also at 0@2"],
    }


def test_no_version_and_one_that_the_owner_never_gave() -> None:
    assert why(spoken(1, None), spoken(2, 9)) == {"1": ["no version"], "2": ["its owner is at version 3"]}
    assert why(spoken(2, 9), last=None) == {}


def test_entities_are_looked_at_apart() -> None:
    assert why(spoken(1, 1), spoken(2, 1, key=b"other")) == {}
