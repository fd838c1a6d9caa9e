"""What the tests of flags share."""

from tests.unit.logs import all_logs

__all__ = ["all_logs"]
