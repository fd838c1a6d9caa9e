"""What must not change about topics that are in use: their names, their events' place and key. Seen between two files.

Kafka, positions, offsets and the archive know a topic by what it was called when it was written to. Under another name
projections would go on reading the old topic while the gateway and commands write to the new.
"""

from collections.abc import Iterator, Mapping

from atlas_contracts.topics import Topic


def topic_changes(before: Mapping[str, Topic], now: Mapping[str, Topic]) -> list[str]:
    """One line for each change that what is on the topics does not follow, with what to do instead."""
    return [*_gone(before, now), *_changed(before, now)]


def _gone(before: Mapping[str, Topic], now: Mapping[str, Topic]) -> Iterator[str]:
    place_of = {event: topic.name for topic in now.values() for event in topic.events}
    for name, topic in before.items():
        if name in now:
            continue
        heirs = sorted({place_of[event] for event in topic.events if event in place_of})
        if heirs:
            yield (
                f"topics.yaml: {name} was renamed to {', '.join(heirs)}; what was written stays on {name}, which"
                f" projections and the archive know it by: put the name back, or declare both and move the history with"
                f" `atlas replay {name} --to {heirs[0]}`"
            )
        else:
            yield (
                f"topics.yaml: {name} is gone, and none of its events has a topic; what was written to it can't be read"
                f" any more: put it back"
            )


def _changed(before: Mapping[str, Topic], now: Mapping[str, Topic]) -> Iterator[str]:
    places_of: dict[str, list[str]] = {}
    for topic in now.values():
        for event in topic.events:
            places_of.setdefault(event, []).append(topic.name)
    for name, topic in before.items():
        if name not in now:
            continue
        for event in topic.events:
            places = places_of.get(event, [])
            if places and name not in places:
                yield f"topics.yaml: {event} went from {name} to {places[0]}; its history does not: put it back"
            elif places and now[name].key_field(event) != topic.key_field(event):
                yield (
                    f"topics.yaml: {name}: the key of {event} was {topic.key_field(event)} and is"
                    f" {now[name].key_field(event)}; what is there keeps the old one: put it back"
                )
        if now[name].partitions < topic.partitions:
            yield (
                f"topics.yaml: {name} had {topic.partitions} partitions and now has {now[name].partitions}; a topic"
                " can't lose any: put the number back"
            )
