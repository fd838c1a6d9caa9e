"""What can be wrong with schemas and events.

ContractsError
├── BrokenSchemas   the schemas folder contradicts itself or its lock
├── UnknownSchema   no such schema id, event type or topic (also a LookupError)
├── InvalidEvent    a value is not what its schema says
└── Undecodable     bytes that are no event of this mesh
"""

from collections.abc import Sequence
from dataclasses import dataclass


class ContractsError(Exception):
    """The root of the tree above."""


class BrokenSchemas(ContractsError):
    """The schemas folder can't be used; `faults` has one line for each reason."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class UnknownSchema(ContractsError, LookupError):
    """Nothing is known under this id or name."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with a value: where (JSON pointer, "" is the whole value), what was there, what should be."""

    path: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.path or 'the value'}: found {self.found}, expected {self.expected}"


class InvalidEvent(ContractsError):
    """A value does not fit its schema; `errors` has every fault, up to 100 of them."""

    def __init__(self, event_type: str, errors: Sequence[FieldError]) -> None:
        super().__init__(f"{event_type}: " + "; ".join(str(error) for error in errors))
        self.event_type = event_type
        self.errors = tuple(errors)


class Undecodable(ContractsError):
    """Bytes that can't be read as an event; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
