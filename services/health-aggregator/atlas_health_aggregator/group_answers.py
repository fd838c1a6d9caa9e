"""GET /groups: every consumer group with its protocol, its state, its members and what they have."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from atlas_contracts.values.timestamps import rfc3339
from atlas_errors.policy import describe
from atlas_runtime.serving.http_server import document
from atlas_runtime.serving.paging import NoPage, page

from atlas_health_aggregator.groups import GroupOffsets
from atlas_health_aggregator.judging.lag_rows import Lag
from atlas_health_aggregator.lag import LagReader, LagReport

# Fresh enough for whoever looks on; the brokers are asked no more often than this.
MAX_AGE_S = 1.0
# Of a group.
MEMBERS_MAX = 100


def group_routes(lag: LagReader) -> list[web.RouteDef]:
    """GET /groups, in pages by name, at most 1 s old; 503 when no broker answers. `group` asks for one of them.

    A group has its first MEMBERS_MAX members. One that has neither members nor committed anything is there too.
    """

    async def groups(request: web.Request) -> web.Response:
        try:
            report = await lag.read(MAX_AGE_S)
        except Exception as error:  # noqa: BLE001 - it says what it is, and the next one may be answered
            return document(503, f"Groups can't be read: {describe(error)}.")
        wanted = request.query.get("group")
        chosen = sorted(name for name in report.groups if wanted in (None, name))
        try:
            names, next_cursor = page(request.query, chosen, lambda name: (name,))
        except NoPage as error:
            return document(422, f"{error}.")
        items = [_as_json(report, report.groups[name], _by_topic(report, name)) for name in names]
        return web.json_response({"taken_at": rfc3339(report.taken_at), "items": items, "next_cursor": next_cursor})

    return [web.get("/groups", groups)]


def _by_topic(report: LagReport, name: str) -> Mapping[str, Lag]:
    return {topic: lag for (group, topic), lag in report.sums.items() if group == name}


def _as_json(report: LagReport, group: GroupOffsets, topics: Mapping[str, Lag]) -> dict[str, Any]:
    status = report.statuses.get(group.name)
    seconds = [lag.seconds for lag in topics.values() if lag.seconds is not None]
    return {
        "group": group.name,
        "protocol": group.protocol or None,
        "state": group.state or None,
        "ours": group.ours,
        "status": None if status is None else status.value,
        "topics": sorted(topics),
        "committed": bool(group.committed),
        "records": sum(lag.records for lag in topics.values()),
        "seconds": max(seconds, default=None),
        "members_count": group.members,
        "empty_members": group.empty_members,
        "members": [
            {
                "id": member.id,
                "client_id": member.client_id,
                "host": member.host,
                "partitions": {topic: sorted(partitions) for topic, partitions in member.assigned.items()},
            }
            for member in group.who[:MEMBERS_MAX]
        ],
    }
