import asyncio

import pytest
from atlas_errors.policy import Transient
from atlas_relay.waiting import answered


async def test_silence_is_named_with_how_long_it_was_waited_for():
    with pytest.raises(Transient, match=r"Kafka did not answer within 0\.01 s"):
        async with answered(0.01):
            await asyncio.Event().wait()


async def test_an_answer_in_time_changes_nothing():
    async with answered(30):
        answer = await asyncio.sleep(0, "answer")
    assert answer == "answer"
