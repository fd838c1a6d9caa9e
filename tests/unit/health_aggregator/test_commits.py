"""An answer about what groups have committed is read the same, whether its partitions lie evenly or not."""

import pytest
from atlas_health_aggregator.commits import Before, Committed, committed
from hypothesis import given
from hypothesis import strategies as st

ONE, TWO = "0b0e4a4c-0000-4000-8000-000000000001", "0b0e4a4c-0000-4000-8000-000000000002"
# Partition, offset, metadata, error code.
Partition = tuple[int, int, str | None, int]


def length(count: int) -> bytes:
    """As Kafka's flexible versions have it: one more than it is, seven bits a byte."""
    value, packed = count + 1, b""
    while value > 0x7F:
        packed += bytes([value & 0x7F | 0x80])
        value >>= 7
    return packed + bytes([value])


def text(value: str | None) -> bytes:
    return b"\x00" if value is None else length(len(value.encode())) + value.encode()


def answer(groups: dict[str, dict[str, list[Partition]]], code: int = 0, tags: bytes = b"\x00") -> bytes:
    packed = length(len(groups))
    for group, topics in groups.items():
        packed += text(group) + length(len(topics))
        for topic, partitions in topics.items():
            packed += text(topic) + length(len(partitions))
            for number, offset, metadata, error in partitions:
                packed += number.to_bytes(4, "big") + offset.to_bytes(8, "big", signed=True) + b"\xff" * 4
                packed += text(metadata) + error.to_bytes(2, "big", signed=True) + tags
            packed += b"\x00"
        packed += code.to_bytes(2, "big") + b"\x00"
    return packed + b"\x00"


def read(found: Committed) -> dict[str, list[tuple[int, int, str | None]]]:
    return {
        topic: list(zip(each.partitions.tolist(), each.offsets.tolist(), each.ids_of(), strict=True))
        for topic, each in found.commits.items()
    }


def expected(topics: dict[str, list[Partition]]) -> dict[str, list[tuple[int, int, str | None]]]:
    known = {ONE: ONE, TWO: TWO, ONE.upper(): ONE}
    kept = {
        topic: [
            (number, offset, known.get(meta or "")) for number, offset, meta, code in parts if offset >= 0 and not code
        ]
        for topic, parts in topics.items()
    }
    return {topic: parts for topic, parts in kept.items() if parts}


PARTITIONS = st.lists(
    st.tuples(
        st.integers(0, 2000),
        st.integers(-1, 2**62),
        st.sampled_from([None, "", "x", ONE, ONE.upper(), TWO, "z" * 36, "long" * 50]),
        st.sampled_from([0, 0, 0, 3]),
    ),
    max_size=5,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "ü" * 90]), st.dictionaries(st.sampled_from(["t", "u"]), PARTITIONS)))
def test_whatever_is_beside_the_offsets(groups: dict[str, dict[str, list[Partition]]]) -> None:
    found = list(committed(answer(groups)))
    assert [each.group for each in found] == list(groups)
    assert [read(each) for each in found] == [expected(topics) for topics in groups.values()]


@pytest.mark.parametrize("metadata", [None, "", "m" * 10, ONE])
def test_partitions_that_lie_evenly_are_taken_as_columns(metadata: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(*_: object) -> None:
        raise AssertionError("one by one")

    monkeypatch.setattr("atlas_health_aggregator.commits._Reader._one_by_one", odd)
    partitions: list[Partition] = [(number, number * 3 - 1, metadata, 0) for number in range(300)]
    (found,) = committed(answer({"g": {"t": partitions}}))
    assert read(found) == expected({"t": partitions})


def test_tagged_fields_are_stepped_over() -> None:
    tagged = b"\x02" + b"\x00\x01!" + b"\x07\x02ab"
    groups: dict[str, dict[str, list[Partition]]] = {"g": {"t": [(0, 5, "", 0), (1, 6, "", 0)]}, "h": {}}
    assert [read(each) for each in committed(answer(groups, tags=tagged))] == [
        expected(each) for each in groups.values()
    ]


def test_why_a_group_can_not_be_looked_at() -> None:
    assert [(each.group, each.commits, each.error_code) for each in committed(answer({"g": {}}, 30))] == [("g", {}, 30)]


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b"]), st.dictionaries(st.just("t"), PARTITIONS)), max_size=4))
def test_what_is_as_it_was_is_read_as_if_it_were_new(rounds: list[dict[str, dict[str, list[Partition]]]]) -> None:
    before = Before()
    for groups in rounds:
        before.begin()
        found = list(committed(answer(groups), before))
        assert [read(each) for each in found] == [expected(topics) for topics in groups.values()]


def test_what_is_as_it_was_is_not_read_again() -> None:
    before = Before()
    packed = answer({"g": {"t": [(number, 5, "", 0) for number in range(9)]}})
    found = []
    for _ in range(2):
        before.begin()
        found += [each.commits["t"] for each in committed(packed, before)]
    assert found[0] is found[1]
    before.begin()
    before.begin()
    assert next(committed(packed, before)).commits["t"] is not found[0], "a round without it has forgotten it"
