"""One record name on several topics: one event type, or one for each."""

from collections.abc import Mapping, Sequence

import pytest
from atlas_contracts.imports.import_names import Met, There, types_of


def types(
    topics: Mapping[str, Sequence[str]],
    known: Mapping[str, Sequence[str]] | None = None,
    taken: Sequence[str] = (),
) -> dict[str, str]:
    """The type of `n.R` on each topic; `known`: versions that the folder has, by type; `taken`: topics of `n.R`."""
    texts = known or {}
    there = There(lambda name: texts.get(name, ()), lambda name: taken if name == "n.R" else ())
    found = types_of([Met("n.R", topic, tuple(versions)) for topic, versions in topics.items()], there)
    return {topic: found["n.R", topic] for topic in topics}


def test_a_name_on_one_topic_is_the_type() -> None:
    assert types({"a": ["1", "2"]}) == {"a": "n.R"}


def test_topics_of_schemas_of_their_own_have_types_of_their_own() -> None:
    assert types({"a": ["1"], "b": ["2"]}) == {"a": "a-n.R", "b": "b-n.R"}


def test_topics_that_share_versions_share_the_type() -> None:
    assert types({"a": ["1"], "b": ["1", "2"], "c": ["3"]}) == {"a": "n.R", "b": "n.R", "c": "c-n.R"}


def test_versions_that_are_shared_and_then_part_are_refused() -> None:
    with pytest.raises(ValueError, match=r"n\.R: a and b share a version and then part"):
        types({"a": ["1", "2"], "b": ["1", "3"]})
    with pytest.raises(ValueError, match=r"n\.R: some of a, b, c, d share its schema, and not all"):
        types({"a": ["1"], "b": ["1"], "c": ["2"], "d": ["2"]})


def test_what_the_folder_has_stays_as_it_is_called() -> None:
    assert types({"a": ["1", "2"]}, {"n.R": ["1"]}, ["a"]) == {"a": "n.R"}
    assert types({"a": ["3"]}, {"n.R": ["1"]}, ["a"]) == {"a": "n.R"}
    assert types({"b": ["1"]}, {"n.R": ["1", "2"]}, ["a"]) == {"b": "n.R"}
    assert types({"b": ["3"]}, {"n.R": ["1"]}, ["a"]) == {"b": "b-n.R"}
    assert types({"b": ["3", "4"]}, {"b-n.R": ["3"]}) == {"b": "b-n.R"}
