"""What one request may ask for: how much it holds, and how much of what is wrong with it is said."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atlas_http.problems import Kind, Problem

from atlas_gateway.posting.envelopes import Refused
from atlas_gateway.settings import GatewaySettings

# Errors that are listed of one record; the rest is counted.
RECORD_ERRORS_MAX = 20

TOO_MANY_RECORDS = Kind("too-many-records", 413, "The body has too many records")
TOO_MANY_REFUSED = Kind("too-many-refused", 422, "Too many records were refused")
TOO_COMPLEX = Kind("record-too-complex", 413, "The record has too many members")


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one request that posts records; see the settings of the same names."""

    records: int = 50_000
    record_bytes: int = 2 * 1024 * 1024
    members: int = 20_000
    refused: int = 2_000
    errors: int = 1_000

    @classmethod
    def of(cls, settings: GatewaySettings) -> "Limits":
        return cls(
            records=settings.gateway_records_max,
            record_bytes=settings.gateway_record_max_bytes,
            members=settings.gateway_record_members_max,
            refused=settings.gateway_refused_max,
            errors=settings.gateway_errors_max,
        )


class Intake:
    """Counts the records of one request. Once a limit is passed, `ended` says so, and the rest is not to be read."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._records = 0
        self._refused = 0
        self._errors_left = limits.errors
        self.ended: Problem | None = None

    def admit(self, items: list[Any]) -> list[Any]:
        """The items that are within the limit of records."""
        room = self._limits.records - self._records
        if len(items) > room:
            self.ended = too_many(self._limits.records)
        self._records += min(len(items), room)
        return items[:room] if len(items) > room else items

    def count(self, made: Sequence[object]) -> None:
        """Count those that were refused, and shorten what they say when much has been said already."""
        for record in made:
            if type(record) is Refused:
                self._refused += 1
                self._errors_left -= _shorten(record, min(RECORD_ERRORS_MAX, self._errors_left))
        if self._refused > self._limits.refused and self.ended is None:
            detail = f"More than {self._limits.refused} records were refused; what follows was not read."
            self.ended = Problem(TOO_MANY_REFUSED, detail, limit_refused=self._limits.refused)


def too_many(limit: int) -> Problem:
    """The body has more records than `limit`."""
    return Problem(TOO_MANY_RECORDS, f"A body has at most {limit} records; send several.", limit_records=limit)


def too_complex(limit: int) -> Refused:
    """The record's JSON has more members than `limit`."""
    return Refused(TOO_COMPLEX, f"The record has more than {limit} members and containers.", limit_members=limit)


def _shorten(refused: Refused, most: int) -> int:
    """Leave at most `most` of its errors, and count the others; how many stay."""
    errors = refused.error.get("errors", ())
    if len(errors) <= most:
        return len(errors)
    refused.error["errors_left_out"] = len(errors) - most
    refused.error["errors"] = errors[:most]
    return most
