"""What a splicer learns to expect, what that must have earned, and when it gives up."""

import json
import random
from itertools import count

from atlas_archive.format.layout import framing
from atlas_archive.format.records import Record
from atlas_archive.writing import expected as module
from atlas_archive.writing.batches import pack
from atlas_archive.writing.expected import Expected
from atlas_archive.writing.patterns import LONGEST, RecordPattern, choices

INT = 1, '"int"'
_names = count()


def new_names() -> tuple[tuple[str, ...], ...]:
    """Names of headers for which no expression was made yet."""
    return ((f"h{next(_names)}",),)


def earned(expected: Expected, names: tuple[tuple[str, ...], ...]) -> int:
    """How many records have to be looked at closely before an expression is made, which is made then."""
    for seen in range(1, 100_000):
        if expected.looked(1, names):
            expected.learn()
            return seen
    raise AssertionError("nothing was learnt")


def matched(pattern: RecordPattern | None, record: Record) -> bool:
    assert pattern is not None
    (row,) = pattern.regex.findall(pack([record]).data())
    return not row[-1]


def test_nothing_is_expected_before_a_schema_is_met() -> None:
    expected = Expected()
    assert not any(expected.looked(1000, ()) for _ in range(100))
    assert expected.pattern is None
    assert expected.closely > 1
    expected.add(*INT)
    expected.looked(100_000, ())
    expected.learn()
    assert expected.pattern is not None
    assert expected.closely == 1


def test_an_expression_has_cost_its_worth_before_it_is_made() -> None:
    names, schemas = new_names(), ((1, '"string"'), (2, '"string"'))
    expected = Expected()
    for schema in schemas:
        expected.add(*schema)
    at_least = 4 * choices(schemas, names, LONGEST[0])
    assert at_least > 1024
    assert earned(expected, names) == at_least


def test_what_was_made_once_is_had_at_once_whatever_was_met_first() -> None:
    first, names = Expected(), new_names() + new_names()
    first.add(1, '"int"')
    first.add(2, '"long"')
    earned(first, names)
    again = Expected()
    again.add(2, '"long"')
    again.add(1, '"int"')
    assert not again.looked(1, names[::-1])
    assert again.pattern is first.pattern is not None


def test_names_without_end_take_away_nothing_and_have_nothing_made() -> None:
    expected = Expected()
    expected.add(*INT)
    names = new_names()
    earned(expected, names)
    usual = expected.pattern
    for _ in range(3):
        names += new_names()
        assert not any(expected.looked(1, names) for _ in range(200))
        assert expected.pattern is usual


def test_no_order_of_records_costs_more_than_it_earned() -> None:
    """Segments that begin with any schemas and headers: what is compiled is paid for by what was looked at."""
    rng, made, seen = random.Random(7), 0, 0
    for _ in range(40):
        expected, names = Expected(), ()
        for _ in range(rng.randrange(1, 8)):
            if rng.random() < 0.5:
                names += new_names()
            expected.add(rng.randrange(1000), json.dumps("string"))
            records = rng.randrange(1, 3000)
            seen += records
            if expected.looked(records, names):
                made += choices(expected._schemas, expected._names, LONGEST[0])
                expected.learn()
    assert made
    assert made * module._SEEN_A_CHOICE <= seen


def test_names_of_headers_are_learnt() -> None:
    expected, names = Expected(), new_names()
    expected.add(*INT)
    earned(expected, names)
    assert matched(expected.pattern, Record(0, 0, None, ((names[0][0], b"v"),), framing(1) + b"\2"))


def test_longer_texts_are_expected_when_there_are_many_and_then_nothing() -> None:
    expected, names = Expected(), new_names()
    expected.add(1, '"string"')
    earned(expected, names)
    assert not matched(expected.pattern, Record(0, 0, None, (), framing(1) + b"\xa0\x1f" + b"x" * 2000))
    earned(expected, names)
    assert matched(expected.pattern, Record(0, 0, None, (), framing(1) + b"\xa0\x1f" + b"x" * 2000))
    for _ in range(1000):
        expected.looked(1, names)
    assert expected.pattern is None
    expected.add(*INT)
    assert not expected.looked(100_000, names)
    assert expected.pattern is None


def test_a_few_that_differ_do_no_harm() -> None:
    expected, names = Expected(), new_names()
    expected.add(1, json.dumps("string"))
    earned(expected, names)
    first = expected.pattern
    for _ in range(1000):
        expected.took(20)
        expected.looked(1, names)
    assert expected.pattern is first
