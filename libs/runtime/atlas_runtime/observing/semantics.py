"""Names of attributes by OpenTelemetry's semantic conventions.

Those of HTTP and of databases are stable. Those of messaging are not yet: by default they are the ones that most tools
know (of version 1.24); `OTEL_SEMCONV_STABILITY_OPT_IN=messaging` gives the newer ones, `messaging/dup` gives both.
"""

import os
from collections.abc import Mapping
from functools import cache

from opentelemetry.util.types import AttributeValue

from atlas_runtime.settings import ServiceSettings

_KNOWN = {
    "topic": "messaging.destination.name",
    "partition": "messaging.destination.partition.id",
    "group": "messaging.kafka.consumer.group",
    "offset": "messaging.kafka.message.offset",
    "records": "messaging.batch.message_count",
}
_NEWER = _KNOWN | {"group": "messaging.consumer.group.name", "offset": "messaging.kafka.offset"}
# What is done with the records, in both vocabularies.
_OPERATIONS = {"send": "publish", "process": "process"}


@cache
def _vocabularies() -> tuple[bool, bool]:
    """Whether the known names are wanted, and the newer ones."""
    asked = {word.strip() for word in os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").split(",")}
    both = "messaging/dup" in asked
    return both or "messaging" not in asked, both or "messaging" in asked


def messaging(operation: str, **facts: AttributeValue | None) -> dict[str, AttributeValue]:
    """The attributes of sending or processing records of Kafka.

    `operation` is `send` or `process`; `facts` are of topic, partition, group, offset and records, those that are known
    and the same for all that the span is about.
    """
    known, newer = _vocabularies()
    found: dict[str, AttributeValue] = {"messaging.system": "kafka"}
    if known:
        found["messaging.operation"] = _OPERATIONS[operation]
        found |= _named(_KNOWN, facts)
    if newer:
        found |= {"messaging.operation.type": operation, "messaging.operation.name": operation}
        found |= _named(_NEWER, facts)
    return found


def _named(names: Mapping[str, str], facts: Mapping[str, AttributeValue | None]) -> dict[str, AttributeValue]:
    return {names[fact]: value for fact, value in facts.items() if value is not None}


def http_server(method: str, route: str, host: str, scheme: str) -> dict[str, AttributeValue]:
    """The attributes that a server's span has from its beginning; `host` is what the caller calls it."""
    name, _, port = host.rpartition(":")
    if not port.isdecimal() or len(port) > 5 or not name:
        name, port = host, ""
    found: dict[str, AttributeValue] = {
        "http.request.method": method,
        "http.route": route,
        "url.scheme": scheme,
        "server.address": name,
    }
    return found | ({"server.port": int(port)} if port else {})


def postgres(statement: str) -> dict[str, AttributeValue]:
    """The attributes of a statement or a transaction, by the name it is timed under."""
    return {"db.system.name": "postgresql", "db.query.summary": statement}


def resource(settings: ServiceSettings) -> dict[str, str]:
    """Who it is that sends spans and log lines: the same of both, so that a store joins them."""
    return {
        "service.name": settings.service,
        "service.instance.id": settings.instance,
        "deployment.environment.name": settings.environment,
    }
