"""A short run of each property; the long one is `make chaos WHAT=conformance`."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.conformance.properties import PROPERTIES, Unsuited

EXAMPLES = 100


@pytest.mark.parametrize("holds", PROPERTIES, ids=[each.__name__ for each in PROPERTIES])
def test_any_schema_and_any_value(holds: Callable[[Random], None]) -> None:
    @given(st.randoms(use_true_random=False))
    @settings(max_examples=EXAMPLES)
    def try_it(random: Random) -> None:
        try:
            holds(random)
        except Unsuited:
            assume(False)

    try_it()
