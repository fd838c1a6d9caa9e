"""What a broker's answers mean."""

import pytest
from atlas_kafka.producing.outgoing import InvalidRecordError
from atlas_kafka.producing.produce_answers import Answer, Verdict


@pytest.mark.parametrize(
    ("code", "verdict"),
    [(0, "taken"), (6, "early"), (7, "unsettled"), (10, "too large"), (32, "refused"), (45, "lost"), (3, "withheld")],
)
def test_verdicts(code: int, verdict: str) -> None:
    assert Answer(code).verdict is Verdict(verdict)


def test_a_code_that_is_not_known_is_the_batchs_own_fault() -> None:
    assert Answer(4711).verdict is Verdict.REFUSED


def test_reasons_are_the_brokers_own() -> None:
    assert Answer(32, message="more than 1 h ahead").reason == "InvalidTimestampError (32): more than 1 h ahead"
    assert Answer(87, message="no key").reason == "InvalidRecordError (87): no key"
    assert Answer(10).reason == "MessageSizeTooLargeError (10)"


def test_errors_name_the_topic() -> None:
    assert "there is no topic a.b" in str(Answer(3).error("a.b"))
    assert "a.b has fewer replicas" in str(Answer(19).error("a.b"))
    assert "a.b" in str(Answer(29).error("a.b"))
    assert isinstance(Answer(87, message="x").error(), InvalidRecordError)
