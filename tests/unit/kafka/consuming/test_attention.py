"""Why a consumer does not read what it should, in a line."""

from aiokafka import TopicPartition
from atlas_kafka.consuming.attention import PATIENCE_S, Facts, trouble
from atlas_kafka.fetching.damage import Damage
from hypothesis import given
from hypothesis import strategies as st

P0, P1 = TopicPartition("t", 0), TopicPartition("t", 1)
LATE = PATIENCE_S + 1


def test_it_reads_what_it_should() -> None:
    assert trouble(Facts(assigned={P0, P1}, heard={P0: 99.0, P1: 90.0}), 100.0) is None


def test_a_topic_that_is_not_there() -> None:
    assert trouble(Facts(missing=["a", "b"]), 0.0) == "there is no topic a, b"


def test_partitions_that_nobody_answers_for() -> None:
    facts = Facts(assigned={P0, P1}, heard={P0: 100.0}, failing={P1: "NotLeaderForPartitionError"}, since=80.0)
    assert trouble(facts, 100.0) == "no answer about t/1 for 20 s: NotLeaderForPartitionError"
    many = [TopicPartition("t", number) for number in range(5)]
    assert trouble(Facts(assigned=many), LATE) == f"no answer about t/0, t/1, t/2 and 2 more for {LATE:.0f} s"


def test_no_assignment() -> None:
    assert trouble(Facts(assigned=None), PATIENCE_S) is None
    assert trouble(Facts(assigned=None), LATE) == f"the group has not given out its partitions for {LATE:.0f} s"


def test_nothing_for_one_more_than_there_are_partitions_is_as_it_should_be() -> None:
    assert trouble(Facts(), 1000.0) is None
    assert trouble(Facts(nobody_s=2), LATE) == "nothing is assigned here, and 2 partitions are nobody's"
    assert trouble(Facts(nobody_s=2), 1.0) is None


def test_a_damaged_batch() -> None:
    facts = Facts(assigned={P0}, heard={P0: 1.0}, damaged={P0: Damage(7, "Invalid CRC", 2)})
    assert trouble(facts, 1.0) == "t/0 has a damaged batch at offset 7 (Invalid CRC); tried 2 times"


@given(st.sets(st.integers(0, 9)), st.dictionaries(st.integers(0, 9), st.floats(0, 200)), st.floats(0, 200))
def test_nobody_is_well_who_has_not_heard_of_a_partition(parts: set[int], heard: dict[int, float], now: float) -> None:
    places = {TopicPartition("t", part) for part in parts}
    facts = Facts(assigned=places, heard={TopicPartition("t", part): at for part, at in heard.items()})
    silent = any(now - heard.get(part, 0.0) > PATIENCE_S for part in parts)
    assert (trouble(facts, now) is not None) == silent
