"""A call has its results when the last of its records has its own."""

from atlas_kafka.producing.calls import Call
from atlas_kafka.producing.outgoing import Delivery, Outgoing


async def test_results_are_in_order_however_they_come() -> None:
    call = Call([Outgoing("t", None, b"%d" % n) for n in range(3)])
    error = ValueError("no")
    call.settle(2, Delivery("t", 0, 5))
    call.settle(0, error)
    assert not call.done.done()
    call.settle(0, Delivery("t", 0, 9))  # too late: it has one
    call.settle(1, Delivery("t", 0, 4))
    assert await call.done == [error, Delivery("t", 0, 4), Delivery("t", 0, 5)]


async def test_what_fails_fails_what_is_left() -> None:
    call = Call([Outgoing("t", None, b"%d" % n) for n in range(2)])
    call.settle(0, Delivery("t", 0, 0))
    error = ValueError("closed")
    call.fail(error)
    assert await call.done == [Delivery("t", 0, 0), error]
