"""What one request may ask for, and what is said when it asks for more."""

from typing import Any

from atlas_gateway.limits import RECORD_ERRORS_MAX, TOO_MANY_RECORDS, TOO_MANY_REFUSED, Intake, Limits
from atlas_gateway.posting.envelopes import INVALID_RECORD, Refused
from atlas_gateway.settings import GatewaySettings
from atlas_http.problems import field_error


def refused(errors: int) -> Refused:
    return Refused(INVALID_RECORD, "no", [field_error(f"/{place}", "1", "2") for place in range(errors)])


def test_the_settings_have_the_same_defaults() -> None:
    assert Limits.of(GatewaySettings(_env_file=None)) == Limits()  # type: ignore[call-arg]


def test_records_up_to_the_limit_are_admitted() -> None:
    intake = Intake(Limits(records=5))
    assert intake.admit([1, 2, 3]) == [1, 2, 3]
    assert intake.admit([4, 5]) == [4, 5]
    assert intake.ended is None
    assert intake.admit([6]) == []
    assert intake.ended is not None
    assert intake.ended.kind is TOO_MANY_RECORDS


def test_a_group_is_cut_at_the_limit() -> None:
    intake = Intake(Limits(records=2))
    assert intake.admit([1, 2, 3]) == [1, 2]
    assert intake.ended is not None


def test_after_too_many_refused_the_rest_is_not_read() -> None:
    intake = Intake(Limits(refused=3))
    intake.count([refused(1), object(), refused(1), refused(1)])
    assert intake.ended is None
    intake.count([refused(1)])
    assert intake.ended is not None
    assert intake.ended.kind is TOO_MANY_REFUSED


def test_errors_are_listed_up_to_a_limit_and_then_counted() -> None:
    made = [refused(RECORD_ERRORS_MAX + 5), refused(15), refused(7), refused(0)]
    Intake(Limits(errors=30)).count(made)

    def said(record: Refused) -> tuple[int, Any]:
        return len(record.error.get("errors", ())), record.error.get("errors_left_out")

    assert [said(record) for record in made] == [(RECORD_ERRORS_MAX, 5), (10, 5), (0, 7), (0, None)]
