"""The machine's assertions show what they compared, as those of test modules do."""

import pytest

pytest.register_assert_rewrite("tests.unit.relay.outbox_machine")
