"""A short run of `python -m tests.conformance.pairs`, and proof that it sees what it looks for."""

from random import Random
from typing import Any

import pytest
from atlas_contracts.evolution import compatibility, resolution
from atlas_contracts.reading import resolving_reader

from tests.conformance.avro_java import AvroJava
from tests.conformance.pairs import Judge, run

PAIRS = 300


def record(*fields: Any) -> dict[str, Any]:
    named = [{"name": f"f{number}", "type": kind} for number, kind in enumerate(fields)]
    return {"type": "record", "name": "t.R", "fields": named}


def test_every_difference_has_its_reason(java: AvroJava) -> None:
    tally = run(java, PAIRS, seed=0)
    assert not tally.unexplained, tally.unexplained[0]
    assert tally.pairs == PAIRS
    assert tally.accepted > PAIRS / 4
    assert tally.refused > PAIRS / 4
    assert tally.values > PAIRS / 2


@pytest.mark.parametrize(
    ("broken", "pair"),
    [
        ({"evolution.resolution.PROMOTIONS": {"int": frozenset()}}, (record("int"), record("long"))),
        (
            {"evolution.compatibility._Resolution._compare_fields": lambda *_: iter(())},
            (record("int"), record("string")),
        ),
        ({"reading.resolving_reader._single": float}, (record("long"), record("float"))),
    ],
    ids=["what only we refuse", "what only we accept", "what is read as another value"],
)
def test_a_broken_rule_is_seen(
    java: AvroJava, monkeypatch: pytest.MonkeyPatch, broken: dict[str, Any], pair: tuple[Any, Any]
) -> None:
    for name, value in broken.items():
        monkeypatch.setattr(f"atlas_contracts.{name}", value)
    if "evolution.resolution.PROMOTIONS" in broken:
        monkeypatch.setattr(compatibility, "PROMOTIONS", resolution.PROMOTIONS)
        monkeypatch.setattr(resolving_reader, "PROMOTIONS", resolution.PROMOTIONS)
    judge = Judge(java)
    for seed in range(20):
        judge.judge(Random(seed), *pair)
    assert judge.tally.unexplained


def test_a_type_that_is_defined_twice_alike_is_one_to_both(java: AvroJava) -> None:
    inner = {"type": "record", "name": "In", "fields": [{"name": "a", "type": "int"}]}
    twice = record(inner, {"type": "array", "items": inner})
    judge = Judge(java)
    assert judge.judge(Random(1), twice, record(inner, {"type": "array", "items": "In"}))
    assert (judge.tally.accepted, judge.tally.unexplained) == (1, [])
