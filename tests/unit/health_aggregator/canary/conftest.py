"""What the tests of canaries share."""

from tests.unit.logs import all_logs

__all__ = ["all_logs"]
