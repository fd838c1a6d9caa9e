"""Canaries in the archive: the events among them are archived while there are any, and given up after an hour."""

import asyncio
import time
from collections.abc import Collection, Iterable

import structlog
from atlas_archive.chain.listing import paths
from atlas_archive.maintenance.retention import expire
from atlas_archive.store import ObjectStore
from atlas_contracts.canary import COMMANDED, carriers
from atlas_contracts.topics import Topic
from atlas_errors.backoff import wait_unless
from atlas_errors.policy import describe

KEPT_S = 3600.0
EXPIRE_EVERY_S = 900.0
# A reader of a segment that has just been given up has it read by then.
GRACE_S = 3600.0

log = structlog.get_logger(__name__)


def archived_topics(topics: Iterable[Topic], excluded: Collection[str], *, canary: bool) -> tuple[str, ...]:
    """The names of the topics that are archived: all but those excluded, and of canaries only the events, where on."""
    declared = list(topics)
    commands = {topic.name for topic in declared if COMMANDED in topic.events}
    left_out = {*excluded, *(commands if canary else carriers(declared))}
    return tuple(topic.name for topic in declared if topic.name not in left_out)


async def expire_canaries(store: ObjectStore, topics: Collection[str], stop: asyncio.Event) -> None:
    """Until `stop`, give up the canaries that were archived over an hour ago; what fails is logged and tried again.

    Else they would be thousands of small objects a day, of which nobody needs one.
    """
    while not await wait_unless(stop, EXPIRE_EVERY_S):
        for topic in topics:
            try:
                await give_up(store, topic, before_ms=int((time.time() - KEPT_S) * 1000))
            except Exception as error:  # noqa: BLE001 - archiving goes on, whatever the store does not let it delete
                log.warning("old canaries stay in the archive", topic=topic, error=describe(error))


async def give_up(store: ObjectStore, topic: str, *, before_ms: int, grace_s: float = GRACE_S) -> None:
    """Give up the segments of a topic whose every record is older than `before_ms`; raises UnderHold and BadManifest.

    Their objects are deleted `grace_s` after that, by a later call.
    """
    for path in await paths(store, topic):
        await expire(store, path, before_ms=before_ms, grace_s=grace_s)
