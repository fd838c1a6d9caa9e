"""What is kept of groups between rounds."""

from atlas_health_aggregator.commits import Commits
from atlas_health_aggregator.groups import GroupOffsets, is_of_the_mesh
from atlas_health_aggregator.judging.remembered import KEPT_S, Remembered

from tests.unit.health_aggregator.one_row import commits

READ = {"t": commits({0: 3})}


def _group(offsets: dict[str, Commits] | None = None, topics: set[str] | None = None, **more: object) -> GroupOffsets:
    values: dict[str, object] = {"members": 0, "ours": True, **more}
    return GroupOffsets("archiver", offsets or {}, topics=frozenset(topics or ()), **values)  # type: ignore[arg-type]


def test_a_group_that_lost_its_commits_is_still_to_read_its_topics() -> None:
    remembered = Remembered()
    remembered.complete([_group(READ, {"u"})], 100)
    (group,) = remembered.complete([_group()], 101)
    assert group.read == {"t", "u"}
    (group,) = remembered.complete([], 102)
    assert (group.name, group.members, group.read, group.ours) == ("archiver", 0, {"t", "u"}, True)
    assert remembered.complete([], 103 + KEPT_S) == []


def test_members_say_what_they_want() -> None:
    remembered = Remembered()
    remembered.complete([_group(READ)], 100)
    (group,) = remembered.complete([_group({}, {"u"}, members=1)], 101)
    assert group.read == {"u"}
    (group,) = remembered.complete([_group()], 102)
    assert group.read == {"u"}


def test_of_others_groups_nothing_is_kept() -> None:
    remembered = Remembered()
    remembered.complete([_group(READ, ours=False)], 100)
    assert remembered.complete([], 101) == []
    (group,) = remembered.complete([_group(ours=False)], 102)
    assert group.read == set()


def test_the_mesh_s_groups_have_its_services_names() -> None:
    services = {"archiver", "projector"}
    assert is_of_the_mesh("archiver", services)
    assert is_of_the_mesh("projector.yards", services)
    assert not is_of_the_mesh("console-consumer-123", services)
    assert not is_of_the_mesh("projectors", services)
    assert not is_of_the_mesh("", services)
