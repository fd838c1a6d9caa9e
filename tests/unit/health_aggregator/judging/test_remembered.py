"""What is kept of groups between rounds."""

from aiokafka import TopicPartition
from atlas_health_aggregator.groups import Commit, GroupOffsets, is_of_the_mesh
from atlas_health_aggregator.judging.remembered import KEPT_S, Remembered

T0, U0 = TopicPartition("t", 0), TopicPartition("u", 0)
OLD, NEW = "0b0e4a4c-0000-4000-8000-000000000001", "0b0e4a4c-0000-4000-8000-000000000002"


def _group(
    offsets: dict[TopicPartition, Commit] | None = None, topics: set[str] | None = None, **more: object
) -> GroupOffsets:
    values: dict[str, object] = {"members": 0, "ours": True, **more}
    return GroupOffsets("archiver", offsets or {}, topics=frozenset(topics or ()), **values)  # type: ignore[arg-type]


def test_a_group_that_lost_its_commits_is_still_to_read_its_topics() -> None:
    remembered = Remembered()
    remembered.complete([_group({T0: Commit(3, None)}, {"u"})], 100)
    (group,) = remembered.complete([_group()], 101)
    assert group.read == {"t", "u"}
    (group,) = remembered.complete([], 102)
    assert (group.name, group.members, group.read, group.ours) == ("archiver", 0, {"t", "u"}, True)
    assert remembered.complete([], 103 + KEPT_S) == []


def test_members_say_what_they_want() -> None:
    remembered = Remembered()
    remembered.complete([_group({T0: Commit(3, None)})], 100)
    (group,) = remembered.complete([_group({}, {"u"}, members=1)], 101)
    assert group.read == {"u"}
    (group,) = remembered.complete([_group()], 102)
    assert group.read == {"u"}


def test_of_others_groups_nothing_is_kept() -> None:
    remembered = Remembered()
    remembered.complete([_group({T0: Commit(3, None)}, ours=False)], 100)
    assert remembered.complete([], 101) == []
    (group,) = remembered.complete([_group(ours=False)], 102)
    assert group.read == set()


def test_a_commit_with_the_topic_s_id_is_judged_by_it() -> None:
    groups = [_group({T0: Commit(3, OLD), U0: Commit(3, NEW)})]
    assert Remembered().same_topics(groups, {"t": NEW, "u": NEW}) == {("archiver", T0): False, ("archiver", U0): True}


def test_a_commit_without_one_is_of_the_topic_that_was_there_when_it_was_first_seen() -> None:
    remembered, key = Remembered(), ("archiver", T0)
    stays = [_group({T0: Commit(3, None)})]
    assert remembered.same_topics(stays, {"t": OLD}) == {key: None}
    assert remembered.same_topics(stays, {}) == {}
    remembered.same_topics(stays, {"t": OLD})
    assert remembered.same_topics(stays, {"t": NEW}) == {key: False}
    assert remembered.same_topics(stays, {"t": NEW}) == {key: False}
    assert remembered.same_topics([_group({T0: Commit(4, None)})], {"t": NEW}) == {key: None}


def test_the_mesh_s_groups_have_its_services_names() -> None:
    services = {"archiver", "projector"}
    assert is_of_the_mesh("archiver", services)
    assert is_of_the_mesh("projector.yards", services)
    assert not is_of_the_mesh("console-consumer-123", services)
    assert not is_of_the_mesh("projectors", services)
    assert not is_of_the_mesh("", services)
