"""What the tests of the archiver share."""

from tests.unit.logs import all_logs

__all__ = ["all_logs"]
