"""Many callers on one producer, against a real broker."""

import asyncio
from itertools import chain

from atlas_kafka.producing.calls import Results
from atlas_kafka.producing.producer import Delivery, Outgoing, open_producer
from atlas_local.testing import MakeTopic, Servers

CALLERS = 64


async def test_many_callers_with_a_record_each_are_all_served(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    async with open_producer(servers.kafka_brokers, "test") as producer:

        async def caller(name: int) -> list[Results]:
            return [await producer.send_all([Outgoing(topic, b"k", b"%d" % name)]) for _ in range(100)]

        results = await asyncio.gather(*(caller(name) for name in range(CALLERS)))
    delivered = list(chain.from_iterable(chain.from_iterable(results)))
    assert [result for result in delivered if not isinstance(result, Delivery)] == []
    offsets = [result.offset for result in delivered if isinstance(result, Delivery)]
    assert sorted(offsets) == list(range(CALLERS * 100)), "each has an offset of its own"


async def test_each_caller_gets_its_own_results_in_order(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=4)
    async with open_producer(servers.kafka_brokers, "test") as producer:

        async def caller(name: int) -> list[tuple[int, int]]:
            records = [Outgoing(topic, None, b"%d" % name, partition=name % 4) for _ in range(500)]
            places = [result for result in await producer.send_all(records) if isinstance(result, Delivery)]
            return [(place.partition, place.offset) for place in places]

        results = await asyncio.gather(*(caller(name) for name in range(12)))
    for name, places in enumerate(results):
        assert len(places) == 500
        assert {partition for partition, _ in places} == {name % 4}
        assert places == sorted(places), "a caller's records keep their order"
    assert len(set(chain.from_iterable(results))) == 12 * 500


async def test_what_is_cancelled_before_its_round_is_not_sent(servers: Servers, make_topic: MakeTopic) -> None:
    topic = await make_topic(partitions=1)
    async with open_producer(servers.kafka_brokers, "test") as producer:
        calls = [asyncio.create_task(producer.send_all([Outgoing(topic, b"k", b"v")] * 2000)) for _ in range(6)]
        await asyncio.sleep(0)  # all of them have asked; two rounds are under way
        calls[-1].cancel()
        done = await asyncio.gather(*calls, return_exceptions=True)
        (last,) = await producer.send_all([Outgoing(topic, b"k", b"end")])
    assert isinstance(done[-1], asyncio.CancelledError)
    assert isinstance(last, Delivery)
    assert last.offset == 5 * 2000
