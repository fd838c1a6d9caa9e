"""Edits of topics.yaml, line by line, that keep its comments and whatever else people wrote."""

import re
from collections.abc import Callable, Sequence

# A file without a topic.
NONE = "topics:\n"
# A topic stands two blanks in, what is said of it four.
_TOPIC = re.compile(r"  (?P<quote>[\"']?)(?P<name>[A-Za-z0-9._-]+)(?P=quote):\s*(#.*)?")
_EVENTS = re.compile(r"(?P<before>    events:\s*\[)(?P<events>[^\]#]*)(?P<after>\].*)")


class NotEditable(Exception):
    """The file is valid, but not written in a way that can be edited; the message says what to write by hand."""


def with_topic(text: str, name: str, key: str, events: Sequence[str], source: str) -> str:
    """With this topic at the end."""
    listed = ", ".join(events)
    said = f"    source: {source}\n" if source != "outbox" else ""
    return (
        f"{text.rstrip(chr(10))}\n"
        f"  {name}:\n{said}    key: {key}\n    events: [{listed}]\n    partitions: 4\n    retention: forever\n"
    )


def with_event(text: str, topic: str, event: str) -> str:
    """With this event as the topic's last. Raises NotEditable."""
    return _with_events(text, topic, lambda events: [*events, event], f"add {event} to the events of {topic}")


def without_event(text: str, topic: str, event: str) -> str:
    """Without this event. Raises NotEditable."""
    return _with_events(
        text, topic, lambda events: [each for each in events if each != event], f"take {event} out of {topic}"
    )


def without_topic(text: str, topic: str) -> str:
    """Without this topic and all that is said of it. Raises NotEditable."""
    lines = text.splitlines(keepends=True)
    first, end = _block(lines, topic)
    if first == end:
        raise NotEditable(f"take the topic {topic} out of topics.yaml by hand: its lines were not found there")
    return "".join([*lines[:first], *lines[end:]])


def _with_events(text: str, topic: str, change: Callable[[list[str]], list[str]], by_hand: str) -> str:
    lines = text.splitlines(keepends=True)
    first, end = _block(lines, topic)
    for number in range(first, end):
        if match := _EVENTS.match(lines[number]):
            events = [each.strip().strip("\"'") for each in match["events"].split(",") if each.strip()]
            made = ", ".join(change(events))
            lines[number] = f"{match['before']}{made}{match['after']}" + ("\n" if lines[number].endswith("\n") else "")
            return "".join(lines)
    raise NotEditable(f"{by_hand} in topics.yaml by hand: its `events` are not one line, [a, b]")


def _block(lines: Sequence[str], topic: str) -> tuple[int, int]:
    """From the topic's line to the end of what is said of it; nothing where it is not there."""
    first = next((n for n, line in enumerate(lines) if (m := _TOPIC.match(line)) and m["name"] == topic), None)
    if first is None:
        return 0, 0
    end = first + 1
    while end < len(lines) and lines[end].startswith("    ") and lines[end].strip():
        end += 1
    return first, end
