"""GET /groups over a report made by hand."""

from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from atlas_health_aggregator.group_answers import MEMBERS_MAX, group_routes
from atlas_health_aggregator.groups import GroupOffsets
from atlas_health_aggregator.judging.lag_rows import Lag
from atlas_health_aggregator.judging.status import Status
from atlas_health_aggregator.lag import LagReport
from atlas_kafka.cluster.members import Member

from tests.unit.health_aggregator.one_row import commits

WHO = [Member("m-1", "app", "/10.0.0.7", {"t": (4, 3)}), Member("m-2", "app", "/10.0.0.8")]
GROUPS = [
    GroupOffsets("busy", {"t": commits({0: 3})}, 2, frozenset({"t"}), True, "consumer", "Stable", WHO),
    GroupOffsets("idle", {}, 0, protocol="classic", state="Empty"),
    GroupOffsets("many", {}, MEMBERS_MAX + 1, who=[Member(str(n), "c", "h") for n in range(MEMBERS_MAX + 1)]),
    GroupOffsets("shared", {}, None, protocol="share", state="Empty"),
]
SUMS = {("busy", "t"): Lag(5, 1.5, ours=True), ("busy", "u"): Lag(2, None, ours=True)}
REPORT = LagReport(
    1_700_000_000_000, (), {}, groups={each.name: each for each in GROUPS}, sums=SUMS, statuses={"busy": Status.OK}
)


class Reader:
    """Answers with the report, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    async def read(self, _max_age_s: float) -> LagReport:
        if self._error is not None:
            raise self._error
        return REPORT


async def get(path: str, error: Exception | None = None) -> tuple[int, Any]:
    app = web.Application()
    app.add_routes(group_routes(Reader(error)))  # type: ignore[arg-type]
    async with TestClient(TestServer(app)) as client, client.get(path) as response:
        return response.status, await response.json()


async def test_a_group_with_its_members() -> None:
    status, body = await get("/groups?group=busy")
    (group,) = body["items"]
    assert (status, body["next_cursor"]) == (200, None)
    assert group == {
        "group": "busy",
        "protocol": "consumer",
        "state": "Stable",
        "ours": True,
        "status": "ok",
        "topics": ["t", "u"],
        "committed": True,
        "records": 7,
        "seconds": 1.5,
        "members_count": 2,
        "empty_members": 1,
        "members": [
            {"id": "m-1", "client_id": "app", "host": "/10.0.0.7", "partitions": {"t": [3, 4]}},
            {"id": "m-2", "client_id": "app", "host": "/10.0.0.8", "partitions": {}},
        ],
    }


async def test_groups_without_commits_and_without_members_are_there() -> None:
    _, body = await get("/groups")
    assert [(each["group"], each["members_count"], each["committed"]) for each in body["items"]] == [
        ("busy", 2, True),
        ("idle", 0, False),
        ("many", MEMBERS_MAX + 1, False),
        ("shared", None, False),
    ]
    assert len(body["items"][2]["members"]) == MEMBERS_MAX
    assert body["items"][3]["empty_members"] is None


async def test_pages_and_what_can_not_be_answered() -> None:
    _, body = await get("/groups?limit=1")
    _, after = await get(f"/groups?limit=1&cursor={body['next_cursor']}")
    assert [body["items"][0]["group"], after["items"][0]["group"]] == ["busy", "idle"]
    assert (await get("/groups?limit=0"))[0] == 422
    status, problem = await get("/groups", ConnectionRefusedError("kafka is away"))
    assert (status, "kafka is away" in str(problem)) == (503, True)
