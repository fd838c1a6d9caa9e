"""What a target of a replay takes."""

import pytest
from atlas_archive.format.records import Record
from atlas_cli.terminal.output import CommandError
from atlas_cli.topics.replay_target import Rule, rule_of
from atlas_contracts.registry import Registry

from tests.contexts import SCHEMAS

REGISTRY = Registry.load(SCHEMAS)
RECORD = Record(7, 0, b"k", (), b"v")


def rule(source: str, target: str, wanted: str | None = None, *, leaves_out: bool = False) -> Rule:
    return rule_of(REGISTRY, source, target, wanted, leaves_out=leaves_out)


def test_a_declared_source_of_other_events_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(CommandError, match=r"hauls\.events has hauls\.HaulDeparted.*yards\.events takes yards"):
        rule("hauls.events", "yards.events")
    with pytest.raises(CommandError, match=r"health\.Heartbeat"):
        rule("a.events", "yards.events", "health.Heartbeat")
    assert rule("hauls.events", "yards.events", leaves_out=True).leaves_out


def test_an_undeclared_target_takes_anything() -> None:
    assert rule("hauls.events", "yards.again").takes(RECORD, "a/0@7", lambda _: None)


def test_the_same_events_and_a_restored_topic_go_back() -> None:
    for source in ("yards.events", "yards.events.restored"):
        found = rule(source, "yards.events")
        assert found.takes(RECORD, "a/0@7", lambda _: "yards.YardRegistered")
        assert found.takes(Record(7, 0, b"k", (), None), "a/0@7", lambda _: None), "a tombstone has no type"


@pytest.mark.parametrize(("kind", "words"), [("a.A", "is a a.A"), (None, "is no event that is known")])
def test_a_record_of_another_type_is_refused_or_left_out(kind: str | None, words: str) -> None:
    with pytest.raises(CommandError, match=f"a.events/0@7 {words}; yards.events takes"):
        rule("a.events", "yards.events").takes(RECORD, "a.events/0@7", lambda _: kind)
    assert not rule("a.events", "yards.events", leaves_out=True).takes(RECORD, "a.events/0@7", lambda _: kind)


@pytest.mark.parametrize(
    "target", ["outbox.progress", "health.lag-history", "__consumer_offsets", "__transaction_state"]
)
def test_a_topic_on_which_a_service_or_kafka_keeps_its_own_records_is_no_target(target: str) -> None:
    with pytest.raises(CommandError, match=f"--to {target}: .* keeps its own records there"):
        rule("yards.events", target, leaves_out=True)
