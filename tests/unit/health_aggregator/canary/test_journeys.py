"""When a canary has come, is lost, or has failed: on a clock of the tests' own."""

import pytest
from atlas_health_aggregator.canary.journeys import (
    ACCEPTED,
    ARCHIVE,
    ARCHIVED,
    COMMAND,
    EVENT,
    ON_TOPIC,
    PROJECTED,
    STAGES,
    UNANSWERED_S,
    VISIBLE,
    Journeys,
    Place,
)

WITHIN = {ACCEPTED: 5.0, ON_TOPIC: 10.0, PROJECTED: 20.0, VISIBLE: 30.0, ARCHIVED: 60.0}
SENT_AT = 100.0
PLACE = Place("t", 0, 7)


class Told:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, ...] | tuple[str, str, str, float]] = []

    def reached(self, way: str, stage: str, seconds: float) -> None:
        self.heard.append(("reached", way, stage, seconds))

    def lost(self, way: str, stage: str) -> None:
        self.heard.append(("lost", way, stage))

    def failed(self, way: str, stage: str) -> None:
        self.heard.append(("failed", way, stage))

    def of_end(self) -> list[tuple[str, ...]]:
        return [(str(each[0]), str(each[2])) for each in self.heard if each[0] != "reached"]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def journeys(told: Told) -> Journeys:
    made = Journeys(WITHIN, told)
    made.sent(EVENT, 1, SENT_AT)
    return made


def test_each_stage_is_told_with_the_seconds_since_it_was_sent(journeys: Journeys, told: Told) -> None:
    for number, stage in enumerate(STAGES[EVENT], start=1):
        assert journeys.reach(EVENT, 1, stage, SENT_AT + number)
    assert told.heard == [("reached", EVENT, stage, float(n)) for n, stage in enumerate(STAGES[EVENT], start=1)]
    assert len(journeys) == 0
    journeys.judge(SENT_AT + 1000)
    assert told.of_end() == []


def test_who_is_seen_at_a_stage_has_passed_those_before(journeys: Journeys, told: Told) -> None:
    assert journeys.reach(EVENT, 1, ON_TOPIC, SENT_AT + 2, PLACE)
    assert not journeys.reach(EVENT, 1, ACCEPTED, SENT_AT + 3), "the answer of the gateway comes behind the record"
    assert told.heard == [("reached", EVENT, ACCEPTED, 2.0), ("reached", EVENT, ON_TOPIC, 2.0)]
    assert [journey.place for journey in journeys.waiting(EVENT, PROJECTED)] == [PLACE]


def test_one_is_lost_where_a_look_after_its_time_has_not_found_it(journeys: Journeys, told: Told) -> None:
    journeys.reach(EVENT, 1, ON_TOPIC, SENT_AT + 1, PLACE)
    journeys.looked(EVENT, PROJECTED, SENT_AT + 19.9)
    journeys.judge(SENT_AT + 21)
    assert told.of_end() == [], "the look was before its time was over"
    journeys.looked(EVENT, PROJECTED, SENT_AT + 20)
    journeys.judge(SENT_AT + 21)
    assert told.of_end() == [("lost", PROJECTED)]
    journeys.judge(SENT_AT + 500)
    assert told.of_end() == [("lost", PROJECTED)], "it is lost once"
    assert not journeys.reach(EVENT, 1, PROJECTED, SENT_AT + 501)


def test_where_nobody_answers_it_has_failed(journeys: Journeys, told: Told) -> None:
    journeys.reach(EVENT, 1, PROJECTED, SENT_AT + 1, PLACE)
    journeys.judge(SENT_AT + WITHIN[VISIBLE] + UNANSWERED_S - 0.1)
    assert told.of_end() == []
    journeys.judge(SENT_AT + WITHIN[VISIBLE] + UNANSWERED_S)
    assert told.of_end() == [("failed", VISIBLE)]


def test_a_look_that_began_before_it_could_be_seen_there_proves_nothing(journeys: Journeys, told: Told) -> None:
    journeys.reach(EVENT, 1, PROJECTED, SENT_AT + 40, PLACE)
    journeys.looked(EVENT, VISIBLE, SENT_AT + 39)
    journeys.judge(SENT_AT + 41)
    assert told.of_end() == []
    journeys.looked(EVENT, VISIBLE, SENT_AT + 40)
    journeys.judge(SENT_AT + 41)
    assert told.of_end() == [("lost", VISIBLE)]


def test_after_a_pause_of_the_process_what_is_there_is_found_before_anything_is_lost(
    journeys: Journeys, told: Told
) -> None:
    journeys.reach(EVENT, 1, ON_TOPIC, SENT_AT + 1, PLACE)
    journeys.looked(EVENT, PROJECTED, SENT_AT + 2)
    journeys.judge(SENT_AT + 45)
    assert told.of_end() == []
    journeys.reach(EVENT, 1, VISIBLE, SENT_AT + 46)
    assert told.heard[-1] == ("reached", EVENT, VISIBLE, 46.0)


def test_one_that_was_refused_has_failed_unless_it_is_there(journeys: Journeys, told: Told) -> None:
    journeys.sent(EVENT, 2, SENT_AT)
    journeys.reach(EVENT, 2, ON_TOPIC, SENT_AT + 1, PLACE)
    journeys.refused(EVENT, 1)
    journeys.refused(EVENT, 2)
    journeys.refused(EVENT, 3)
    assert told.of_end() == [("failed", ACCEPTED)]
    assert journeys.find(EVENT, 2) is not None


def test_who_still_waits_for_an_answer_is_not_judged(journeys: Journeys, told: Told) -> None:
    journeys.judge(SENT_AT + 10_000)
    assert told.heard == []


def test_ways_do_not_mix(told: Told) -> None:
    journeys = Journeys(WITHIN, told)
    journeys.sent(COMMAND, 1, SENT_AT)
    journeys.sent(EVENT, 1, SENT_AT)
    journeys.reach(COMMAND, 1, ON_TOPIC, SENT_AT + 1, PLACE)
    journeys.reach(EVENT, 1, ON_TOPIC, SENT_AT + 1, PLACE)
    journeys.looked(COMMAND, PROJECTED, SENT_AT + 20)
    journeys.judge(SENT_AT + 21)
    assert [each for each in told.heard if each[0] == "lost"] == [("lost", COMMAND, PROJECTED)]


def test_to_the_archive_it_goes_from_its_topic_on(told: Told) -> None:
    journeys = Journeys(WITHIN, told)
    journeys.sent(ARCHIVE, 1, SENT_AT, since=SENT_AT + 1, place=PLACE)
    assert [(journey.place, journey.offset) for journey in journeys.waiting(ARCHIVE, ARCHIVED)] == [(PLACE, 7)]
    journeys.reach(ARCHIVE, 1, ARCHIVED, SENT_AT + 12)
    assert told.heard == [("reached", ARCHIVE, ARCHIVED, 12.0)]


def test_somebody_should_look_once_the_time_of_one_is_over(journeys: Journeys) -> None:
    journeys.reach(EVENT, 1, ACCEPTED, SENT_AT + 1)
    assert not journeys.overdue(EVENT, ON_TOPIC, SENT_AT + 9)
    assert journeys.overdue(EVENT, ON_TOPIC, SENT_AT + 10)
    assert not journeys.overdue(COMMAND, ON_TOPIC, SENT_AT + 10)


def test_what_is_forgotten_is_neither_lost_nor_failed(journeys: Journeys, told: Told) -> None:
    journeys.forget()
    journeys.looked(EVENT, ON_TOPIC, SENT_AT + 50)
    journeys.judge(SENT_AT + 1000)
    assert (told.heard, len(journeys)) == ([], 0)
