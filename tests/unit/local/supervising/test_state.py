"""What came over the socket is a state, or is said not to be one."""

import copy
from typing import Any

import pytest
from atlas_local.supervising.state import NotAState, judged, without_supervisor
from atlas_local.supervising.supervisor import Supervisor
from atlas_local.topology import MESH, Kind, Part
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@pytest.fixture
def told(standins) -> Any:
    standins.add("store")
    return Supervisor(standins, (Part("store", Kind.SERVER),)).status()


def test_what_a_supervisor_tells_is_one(told: Any) -> None:
    state = judged(told)
    assert state["running"] is True
    assert state["parts"][0]["name"] == "store"
    assert state["disk_free_bytes"] is not None


@given(JSON)
def test_anything_else_is_not(found: Any) -> None:
    with pytest.raises(NotAState):
        judged(found)


@given(st.data())
def test_one_field_of_another_type_is_named(data: st.DataObject) -> None:
    state: Any = without_supervisor({}) | {"supervisor": {"pid": 7}}
    broken = copy.deepcopy(state)
    judged(broken)
    part = data.draw(st.sampled_from(broken["parts"]))
    name = data.draw(st.sampled_from(sorted(set(part) - {"started", "log"})))
    part[name] = data.draw(st.lists(st.integers(), max_size=1) | st.just({}))
    with pytest.raises(NotAState, match=name):
        judged(broken)
    del part[name]
    with pytest.raises(NotAState, match=name):
        judged(broken)


def test_without_a_supervisor_what_is_left_is_shown() -> None:
    state = without_supervisor({"kafka": 17})
    assert state["running"] is False
    assert [part["name"] for part in state["parts"]] == [part.name for part in MESH]
    assert {part["name"]: part["pid"] for part in state["parts"] if part["state"] == "left behind"} == {"kafka": 17}
