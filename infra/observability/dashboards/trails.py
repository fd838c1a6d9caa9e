"""Where a point of a panel leads: the traces and the logs of what it counts, in the time that is shown."""

import json
import re
from dataclasses import dataclass
from urllib.parse import quote

TEMPO, LOKI, PROMETHEUS = "atlas-tempo", "atlas-loki", "atlas-prometheus"
# What Grafana puts the value of in: it must come through as it is written.
_VARIABLE = re.compile(r"%24%7B([\w.]+)%7D")
_LABEL = re.compile(r"<(\w+)>")


@dataclass(frozen=True, slots=True)
class Trail:
    """A search in TraceQL and one in LogQL; `<label>` stands for the point's label of that name."""

    traces: str
    logs: str

    def urls(self, *, table: bool) -> tuple[str, str]:
        """Addresses of Grafana's Explore with the two searches; of a row of a `table` the label is a field."""
        return (
            _explore(TEMPO, {"queryType": "traceql", "query": _filled(self.traces, table), "limit": 50}),
            _explore(LOKI, {"expr": _filled(self.logs, table), "queryType": "range"}),
        )


def _filled(search: str, table: bool) -> str:
    return _LABEL.sub(r"${__data.fields.\1}" if table else r"${__field.labels.\1}", search)


def _explore(source: str, query: dict[str, object]) -> str:
    pane = {
        "datasource": source,
        "queries": [{"refId": "A", "datasource": {"uid": source}, **query}],
        "range": {"from": "${__from}", "to": "${__to}"},
    }
    panes = quote(json.dumps({"a": pane}, separators=(",", ":")), safe="")
    return "/explore?schemaVersion=1&orgId=1&panes=" + _VARIABLE.sub(r"${\1}", panes)


def of_services(*names: str) -> Trail:
    """Of these services."""
    one = "|".join(names)
    return Trail(f'{{resource.service.name=~"{one}"}}', f'{{service_name=~"{one}"}}')


# Of the service that the point is of.
OF_JOB = Trail('{resource.service.name="<job>"}', '{service_name="<job>"}')
OF_SERVICE = Trail('{resource.service.name="<service>"}', '{service_name="<service>"}')
# The conventions for messaging are not stable: a group has had two names.
OF_GROUP = Trail(
    '{span.messaging.kafka.consumer.group="<group>" || span.messaging.consumer.group.name="<group>"}',
    '{service_name=~".+"} |= "<group>"',
)
OF_TOPIC = Trail('{span.messaging.destination.name="<topic>"}', '{service_name=~".+"} |= "<topic>"')
OF_ROUTE = Trail('{span.http.route="<route>"}', '{service_name="gateway"} |= "<route>"')
OF_QUERY = Trail('{span.db.query.summary="<query>"}', '{service_name="<job>"} |= "<query>"')
OF_PROJECTION = Trail(
    '{resource.service.name="projector" && name="process <projection>"}', '{service_name="projector"} |= "<projection>"'
)
