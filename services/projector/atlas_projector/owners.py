"""Whose word a version is: `versioned` is for topics whose events come from the outbox alone."""

from collections.abc import Iterable, Mapping

from atlas_contracts.topics import Source, Topic
from atlas_projection.projection import Projection


class NotOwned(Exception):
    """Projections that would trust a version which anybody can give; one line for each and its topic."""


def check_owners(projections: Iterable[Projection], topics: Mapping[str, Topic]) -> None:
    """Raise NotOwned when a projection with `versioned` reads a declared topic whose source is not the outbox.

    Its events have no version of their owner: all would be dead letters, or a forged one would be taken for true.
    """
    faults = [
        f"projection {projection.name} is `versioned`, but topics.yaml says of its topic {name} `source: "
        f"{topics[name].source}`, so no owner gives its events a version; give the topic `source: {Source.OUTBOX}` if "
        f"commands alone write it, else take `versioned` off the projection"
        for projection in projections
        if projection.versioned is not None
        for name in projection.topics
        if name in topics and topics[name].source is not Source.OUTBOX
    ]
    if faults:
        raise NotOwned("; ".join(faults))
