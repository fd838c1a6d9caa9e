"""Who reads: protocol and state of groups, members and what they have, and how fast records come and go."""

from infra.observability.dashboards import runbooks, trails
from infra.observability.dashboards.panels import ANY, Column, Kind, Levels, Panel, Query, Row
from infra.observability.dashboards.promql import OF_GROUP, OF_TOPIC, greatest, series, total

TO_GROUP = "/d/atlas-lag-group?var-group=${__data.fields.group}&${__url_time_range}"
CATCH_UP = Levels(warn=600, alarm=3600)
_MEMBER = ("group", "client_id", "host")


def _of(metric: str) -> str:
    return series(metric, OF_GROUP, OF_TOPIC)


SPEED = Row(
    "How fast",
    runbooks.CONSUMER,
    trails.OF_GROUP,
    (
        Panel(
            "Records come",
            "Offsets a second that come in to what the group reads.",
            [Query(total(_of("atlas_consumer_records_in_per_second"), "group", "topic"), "{{group}} {{topic}}")],
            "cps",
            ANY,
        ),
        Panel(
            "Records go as fast as they come",
            "Offsets a second that the group consumes.",
            [Query(total(_of("atlas_consumer_records_out_per_second"), "group", "topic"), "{{group}} {{topic}}")],
            "cps",
            ANY,
        ),
        Panel(
            "A group that is behind catches up within minutes",
            "Until nothing waits, at the rates of now. No line: at these rates never, or the rates are not known yet.",
            [Query(greatest(_of("atlas_consumer_catch_up_seconds"), "group", "topic"), "{{group}} {{topic}}")],
            "s",
            CATCH_UP,
        ),
    ),
)

MEMBERS = Row(
    "Members",
    runbooks.CONSUMER,
    trails.OF_GROUP,
    (
        Panel(
            "Groups are Stable",
            "Protocol (classic, consumer of KIP-848, share) and state of each group, in Kafka's words.",
            [Query(greatest(series("atlas_consumer_group_info", OF_GROUP), "group", "protocol", "state"), "groups")],
            "short",
            ANY,
            kind=Kind.TABLE,
            table=[Column("group", link=TO_GROUP), Column("protocol"), Column("state")],
            width=12,
        ),
        Panel(
            "Every member has partitions",
            "Partitions of each member, by client and host.",
            [Query(total(series("atlas_consumer_member_partitions", OF_GROUP), *_MEMBER), "partitions")],
            "short",
            ANY,
            kind=Kind.TABLE,
            table=[Column("group", link=TO_GROUP), Column("client_id"), Column("host"), Column("partitions")],
            width=12,
        ),
        Panel(
            "Every group has members",
            "Members of each group, as the group's coordinator counts them.",
            [Query(greatest(series("atlas_consumer_group_members", OF_GROUP), "group"), "{{group}}")],
            "short",
            Levels(alarm=1, below=True),
            width=12,
        ),
        Panel(
            "No member is idle",
            "Members without a partition: more members than partitions.",
            [Query(greatest(series("atlas_consumer_group_empty_members", OF_GROUP), "group"), "{{group}}")],
            "short",
            Levels(warn=1),
            width=12,
        ),
    ),
)
