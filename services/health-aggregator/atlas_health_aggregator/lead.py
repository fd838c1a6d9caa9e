"""Which of several aggregators tells: the one that has the partition of the heartbeats. All of them hear.

consume_heartbeats()  →  Lead        by Faust, in the group: who leads
overhear()            →  Receiver    without a group, while another one leads: so that who takes over knows it all
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Any

import structlog
from atlas_errors.backoff import Backoff
from atlas_errors.policy import describe
from atlas_kafka.cluster.groups import open_reader, topic_ranges
from prometheus_client import Gauge

POLL_MS = 500

LEADS = Gauge("atlas_health_leads", "1 for the health-aggregator that tells of changes, of however many there are")

log = structlog.get_logger(__name__)


class Lead:
    """Whether this aggregator leads now. It is told by the group's assignments."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self.leads = False
        LEADS.set(0)

    def assigned(self, _app: Any, /, *given: Any, **_more: Any) -> None:
        """A rebalance has given these partitions."""
        partitions: Collection[Any] = given[0]
        self._set(any(partition.topic == self._topic for partition in partitions))

    def revoked(self, _app: Any, /, *_taken: Any, **_more: Any) -> None:
        """A rebalance begins: until it has ended nobody leads."""
        self._set(False)

    def _set(self, leads: bool) -> None:
        if leads != self.leads:
            log.info("leads" if leads else "does not lead")
        self.leads = leads
        LEADS.set(leads)


async def overhear(
    brokers: str, client_id: str, topic: str, lead: Lead, hear: Callable[[bytes | None], None], stop: asyncio.Event
) -> None:
    """Give `hear` what comes onto the topic while another one leads, until `stop`; begins at the end.

    No offset is committed. Never raises: who leads does not depend on it.
    """
    backoff = Backoff()
    while not stop.is_set():
        try:
            async with open_reader(brokers, client_id, read_committed=False) as reader:
                ends = {tp: end for tp, (_first, end) in (await topic_ranges(reader, [topic])).items()}
                reader.assign(list(ends))
                while ends and not stop.is_set():
                    for records in (await reader.getmany(timeout_ms=POLL_MS)).values():
                        for record in records if not lead.leads else ():
                            hear(record.value)
                    backoff.reset()
        except Exception as error:  # noqa: BLE001 - also what can't be read: it begins again behind it
            log.warning("heartbeats are not overheard", error=describe(error))
        await backoff.wait(stop)
