"""What a splicer learns to expect, and when it gives up."""

import json

from atlas_archive.format.layout import framing
from atlas_archive.format.records import Record
from atlas_archive.writing.batches import pack
from atlas_archive.writing.expected import Expected


def test_nothing_is_expected_before_a_schema_is_met() -> None:
    expected = Expected()
    expected.looked(())
    assert expected.pattern is None
    assert expected.closely > 1
    expected.add(1, '"int"')
    expected.looked(())
    assert expected.pattern is not None
    assert expected.closely == 1


def test_names_of_headers_are_learnt() -> None:
    expected = Expected()
    expected.add(1, '"int"')
    expected.looked((("h",),))
    assert expected.pattern is not None
    data = pack([Record(0, 0, None, (("h", b"v"),), framing(1) + b"\2")]).data()
    (row,) = expected.pattern.regex.findall(data)
    assert not row[-1]


def test_longer_texts_are_expected_when_there_are_many_and_then_nothing() -> None:
    expected = Expected()
    expected.add(1, '"string"')
    expected.looked(())
    first = expected.pattern
    for _ in range(1000):
        expected.looked(())
        if expected.pattern is not first:
            break
    assert expected.pattern is not None
    data = pack([Record(0, 0, None, (), framing(1) + b"\xa0\x1f" + b"x" * 2000)]).data()
    (row,) = expected.pattern.regex.findall(data)
    assert not row[-1]
    for _ in range(1000):
        expected.looked(())
    assert expected.pattern is None
    expected.add(2, '"int"')
    expected.looked(())
    assert expected.pattern is None


def test_a_few_that_differ_do_no_harm() -> None:
    expected = Expected()
    expected.add(1, json.dumps("string"))
    expected.looked(())
    first = expected.pattern
    for _ in range(1000):
        expected.took(20)
        expected.looked(())
    assert expected.pattern is first
