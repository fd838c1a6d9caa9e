"""Two sides held against each other, without a database."""

from collections.abc import AsyncIterator, Sequence

import pytest
from atlas_cli.read_models import comparing
from atlas_cli.read_models.comparing import Difference, Key, Row, TableRows, differences, shown
from atlas_cli.terminal.output import CommandError
from hypothesis import given
from hypothesis import strategies as st

Side = dict[Key, Row]
SIDES = st.dictionaries(
    st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=2)),
    st.fixed_dictionaries({"version": st.sampled_from(["1", "2", None]), "email": st.sampled_from(["a", None])}),
    max_size=8,
)


class Held:
    """A side in memory; `later` is what it has when it is asked again."""

    def __init__(self, rows: Side, later: Side | None = None) -> None:
        self.rows = rows
        self.later = rows if later is None else later

    async def all(self) -> AsyncIterator[tuple[Key, Row]]:
        for key in sorted(self.rows, key=lambda key: [part.encode() for part in key]):
            yield key, self.rows[key]

    async def of(self, keys: Sequence[Key]) -> Side:
        return {key: self.later[key] for key in keys if key in self.later}


@given(SIDES, SIDES)
async def test_what_differs_is_found_and_nothing_else(ours: Side, theirs: Side) -> None:
    found, compared = await differences(Held(ours), Held(theirs), settle_s=0)
    assert compared == len(ours.keys() | theirs.keys())
    expected = {key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}
    assert {each.key for each in found} == expected
    for each in found:
        assert (each.owner, each.read_model) == (ours.get(each.key), theirs.get(each.key))
        assert set(each.fields()) == {
            name
            for name in ("version", "email")
            if ours.get(each.key, {}).get(name) != theirs.get(each.key, {}).get(name)
        }


async def test_what_was_on_its_way_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "_POLL_S", 0.001)
    state = {("a",): {"version": "2"}, ("b",): {"version": "1"}, ("c",): {"version": "1"}}
    behind = {("a",): {"version": "1"}, ("c",): {"version": "9"}}
    found, compared = await differences(Held(state), Held(behind, behind | {("a",): {"version": "2"}}), settle_s=0.05)
    assert compared == 3
    assert shown(found, "version") == [
        {
            "key": "b",
            "verdict": "not in the read model",
            "fields": {"version": {"owner": "1", "read_model": None}},
        },
        {
            "key": "c",
            "verdict": "the read model is ahead of its owner",
            "fields": {"version": {"owner": "1", "read_model": "9"}},
        },
    ]


async def test_no_more_than_so_many_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "DIFFERENCES_MAX", 3)
    found, compared = await differences(Held({(str(n),): {} for n in range(9)}), Held({}), settle_s=0)
    assert (len(found), compared) == (3, 3)


@pytest.mark.parametrize(
    ("owner", "read_model", "verdict"),
    [
        ({"v": "2"}, {"v": "1"}, "the read model is behind"),
        ({"v": "1"}, {"v": "2"}, "the read model is ahead of its owner"),
        ({"v": "1"}, {"v": "1"}, "differs at the same version"),
        (None, {"v": "1"}, "in the read model only"),
        ({"v": "1"}, None, "not in the read model"),
    ],
)
def test_verdicts(owner: Row | None, read_model: Row | None, verdict: str) -> None:
    assert Difference(("k",), owner, read_model).verdict("v") == verdict


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "a;b", "a.b.c", "1a", "a.", "é"])
def test_names_are_names(name: str) -> None:
    connection = object()
    with pytest.raises(CommandError, match="not the name"):
        TableRows(connection, name, {"k": "k"}, ["k"])  # type: ignore[arg-type]
    with pytest.raises(CommandError, match="not the name"):
        TableRows(connection, "app.yards", {"k": name}, ["k"])  # type: ignore[arg-type]
