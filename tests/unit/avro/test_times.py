"""Counts as Python's own objects, for columns."""

from datetime import UTC, date, datetime, time

import pytest
from atlas_avro import times
from hypothesis import given
from hypothesis import strategies as st


@given(st.datetimes(timezones=st.just(UTC)))
def test_microseconds_there_and_back(moment: datetime) -> None:
    parse = times.instant_parser(6)
    assert times.as_datetime(parse(moment.isoformat()), 6) == moment
    assert times.as_datetime(parse(moment.isoformat()), 6).tzinfo is UTC


@given(st.datetimes(), st.sampled_from([3, 6, 9]))
def test_the_same_moment_of_each_unit(moment: datetime, digits: int) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    if digits == 9:
        moment = moment.replace(year=1700 + moment.year % 500, day=min(moment.day, 28))
    count = times.local_parser(digits)(moment.isoformat())
    assert times.as_local(count, digits) == moment
    assert datetime.fromisoformat(times.local_text(count, digits)) == moment
    clock = times.parse_time(moment.time().isoformat(), digits)
    assert times.as_time(clock, digits) == moment.time()
    assert times.as_date(times.parse_date(moment.date().isoformat())) == moment.date()


def test_the_ends() -> None:
    assert times.as_date(times.LEAST_DAY) == date.min
    assert times.as_date(times.MOST_DAY) == date.max
    for digits in (3, 6):
        least, most = times.instants(digits)
        assert times.as_local(least, digits) == datetime(1, 1, 1)  # noqa: DTZ001
        assert times.as_local(most, digits).date() == date.max
        for beyond in (least - 1, most + 1, 2**63 - 1, -(2**63)):
            with pytest.raises(ValueError, match="outside the years 1 to 9999"):
                times.as_datetime(beyond, digits)
    for day in (times.LEAST_DAY - 1, times.MOST_DAY + 1):
        with pytest.raises(ValueError, match="outside the years 1 to 9999"):
            times.as_date(day)
    assert times.as_time(86_399_999_999, 6) == time.max
    for count in (-1, 86_400_000_000):
        with pytest.raises(ValueError, match="outside of a day"):
            times.as_time(count, 6)


def test_nanoseconds_are_not_cut() -> None:
    assert times.as_datetime(1_000, 9) == datetime(1970, 1, 1, 0, 0, 0, 1, UTC)
    with pytest.raises(ValueError, match="finer than a microsecond"):
        times.as_datetime(1_001, 9)


SHORT, LONG = "2024-02-29T10:15:00", "2024-02-29T10:15:00.250"


def forms() -> st.SearchStrategy[str]:
    """What has the shape of an instant with the fraction that is read fast or without one, is near it, or is one."""
    near = r"[0-9+-]{4}-[0-9W+-]{2}-[0-9+ -]{2}T[0-9+-]{2}:[0-9+-]{2}:[0-9+-]{2}(\.[0-9+Z:-]{3})?Z"
    moments = st.datetimes(timezones=st.just(UTC))
    changed = [
        st.tuples(st.sampled_from(form), st.characters()).map(lambda pair, form=form: form.replace(*pair, 1) + "Z")
        for form in (SHORT, LONG)
    ]
    written = [
        moments.map(lambda moment, spec=spec: moment.isoformat(timespec=spec)[:-6] + "Z")
        for spec in ("seconds", "milliseconds")
    ]
    return st.one_of(st.from_regex(near, fullmatch=True), *changed, *written)


@given(forms(), st.sampled_from([3, 6, 9]))
def test_a_form_that_is_read_fast_means_what_it_means_otherwise(text: str, digits: int) -> None:
    """A zero more behind the point, or an offset of none, is another form of the same moment."""

    def read(form: str) -> int | None:
        try:
            return times.instant_parser(digits)(form)
        except ValueError:
            return None

    more = "0Z" if "." in text else ".0Z"
    assert read(text) == read(f"{text[:-1]}{more}") == read(f"{text[:-1]}+00:00")


@pytest.mark.parametrize("text", [f"{SHORT}Z", f"{LONG}Z"])
def test_the_forms_that_nearly_all_write_are_read_fast(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = times.instant_parser(6)(text)

    def slow(_: str) -> int:
        raise AssertionError("read the slow way")

    monkeypatch.setattr(times, "_parser", lambda *_: slow)
    assert times.instant_parser(6)(text) == expected
