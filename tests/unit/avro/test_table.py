"""The table walked: every type at every place keeps its own rules; and the edges of each."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from atlas_avro.durations import Duration
from atlas_avro.meaning import TEXT_OR_NUMBER
from atlas_avro.primitives import PRIMITIVES
from atlas_avro.table import LOGICAL, base, fault, logical, value_of
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.avro.definitions import DEFINITIONS, DURATION, UUID_FIXED, decimal, handed_over, of, python


def takes(take: Callable[[Any], Any], thing: Any) -> bool:
    try:
        take(thing)
    except ValueError:
        return False
    return True


@given(st.data())
def test_what_is_handed_over_comes_back_from_json_and_from_python(data: st.DataObject) -> None:
    definition = data.draw(st.sampled_from(DEFINITIONS))
    found = of(definition)
    made = found.check(data.draw(handed_over(definition)))
    value = python(definition, made)
    assert type(value) is found.held
    assert found.check(value) == made
    if made in (math.inf, -math.inf):
        with pytest.raises(ValueError, match=r"^$"):
            found.parse(found.render(value))
        return
    rendered = found.render(value)
    assert found.parse(rendered) == made
    look = {type(None): "null", bool: "boolean", int: "number", float: "number", str: "string"}[type(rendered)]
    assert look in found.looks
    assert base(definition).check(made) == made, "what is written is of the base"
    assert definition["type"] != "fixed" or len(made) == definition["size"] if isinstance(definition, Mapping) else True


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.decimals(), st.dates(), st.times(),
    st.datetimes(), st.datetimes(timezones=st.timezones()), st.uuids(), st.timedeltas(), st.lists(st.integers()),
    st.builds(Duration, st.integers(), st.integers(), st.integers()),
    st.sampled_from([datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), 10**5000, Decimal("sNaN")]),
    st.from_regex(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d:\d\d(\.\d{1,12})?([Zz]|[+-]\d\d:\d\d)?)?"),
    st.from_regex(r"[-+]?[0-9.]{1,9}([eE][-+]?[0-9]{1,9})?"), st.from_regex(r"P[0-9YMWDTHS.]{0,12}"),
)  # fmt: skip


@given(st.sampled_from(DEFINITIONS), ANYTHING)
def test_anything_is_taken_or_refused_by_a_value_error(definition: Any, thing: Any) -> None:
    found = of(definition)
    for take in (found.check, found.parse):
        try:
            made = take(thing)
        except ValueError:
            continue
        assert base(definition).check(made) == made or made != made  # noqa: PLR0124 - NaN
        found.render(python(definition, made))


@given(st.sampled_from([d for d in DEFINITIONS if of(d).held is int]), st.integers(-(2**63), 2**63 - 1))
def test_what_has_no_text_stays_a_number(definition: Any, foreign: int) -> None:
    rendered = of(definition).render(foreign)
    assert rendered == foreign or of(definition).parse(rendered) == foreign


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=12, max_size=12), st.binary(max_size=40))
def test_foreign_bytes_are_read_and_shown(sixteen: bytes, twelve: bytes, some: bytes) -> None:
    for definition, data in ((UUID_FIXED, sixteen), (DURATION, twelve), (decimal(4, 2), some)):
        found, value = of(definition), python(definition, data)
        assert isinstance(found.render(value), str)
        assert definition is not DURATION or found.check(value) == data


def test_the_definitions_here_are_the_whole_table() -> None:
    assert {of(definition).name for definition in DEFINITIONS} == {*PRIMITIVES, *LOGICAL, "fixed"}


@pytest.mark.parametrize("definition", DEFINITIONS, ids=str)
def test_every_entry_says_something_at_every_place(definition: Any) -> None:
    found = of(definition)
    assert all(
        (found.name, found.python, found.looks, found.column, found.openapi, found.expected, found.expected_json)
    )
    assert found.openapi["type"] in ("null", "boolean", "integer", "number", "string")
    assert (found.openapi_number is not None) == (found.looks == TEXT_OR_NUMBER)
    assert (found.value is None) == (found.held is base(definition).held or found.name in ("string",))
    assert value_of(definition) is None or found.value is not None
    for refused in (object(), [], {}):
        for take in (found.check, found.parse):
            assert not takes(take, refused)


@pytest.mark.parametrize(
    "definition",
    [
        {"type": "string", "logicalType": "colour"},
        {"type": "string", "logicalType": "date"},
        {"type": "long", "logicalType": "date"},
        {"type": "string", "logicalType": 5},
        {"type": "bytes", "logicalType": "decimal"},
        {"type": "bytes", "logicalType": "decimal", "precision": 0},
        {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3},
        {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": -1},
        {"type": "bytes", "logicalType": "decimal", "precision": 1001},
        {"type": "fixed", "name": "t.F", "size": 4, "logicalType": "decimal", "precision": 10},
        {"type": "fixed", "name": "t.F", "size": 15, "logicalType": "uuid"},
        {"type": "fixed", "name": "t.F", "size": 11, "logicalType": "duration"},
        {"type": {"type": "long"}, "logicalType": "timestamp-millis"},
    ],
    ids=str,
)
def test_a_logical_type_that_means_nothing_where_it_stands_is_its_base(definition: Any) -> None:
    assert logical(definition) is None
    found = of(definition)
    assert found.name == base(definition).name
    assert value_of(definition) is None
    assert (fault(definition) is None) == (definition["logicalType"] != "decimal")


def test_a_decimal_of_a_foreign_producer_is_bounded() -> None:
    wide = decimal(38, 2, 1000)
    assert of(wide).check(Decimal("-1.5")) == b"\xff" * 999 + b"\x6a"
    assert python(wide, b"\xff" * 999 + b"\x6a") == Decimal("-1.50")
    assert python(decimal(4, 2), b"") == 0
    assert of(decimal(4, 2)).render(python(decimal(4, 2), b"\x7f" * 500)).count("") > 1000
    with pytest.raises(ValueError, match="more than 512 bytes"):
        python(decimal(4, 2), b"\x01" * 1000)
