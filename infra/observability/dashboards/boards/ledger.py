"""The ledger: outbox = topic = archive = projected, dead-lettered and skipped; what is left is unaccounted for."""

from infra.observability.dashboards import runbooks, trails
from infra.observability.dashboards.panels import ANY, NONE_IS_GOOD, Levels, Number, Panel, Query, Row
from infra.observability.dashboards.promql import greatest, series

_PLACE = ("group", "topic")

LEDGER = Row(
    "Is every record accounted for?",
    runbooks.UNACCOUNTED,
    trails.OF_TOPIC,
    (
        Number(
            "No record is unaccounted for",
            "Records of which nobody can say what became: outbox, topic, archive and read models don't add up.",
            [Query(greatest(series("atlas_ledger_unaccounted_records")), "records")],
            "short",
            NONE_IS_GOOD,
            width=4,
            trail=trails.of_services("relay", "projector", "archiver"),
            height=8,
        ),
        Number(
            "Figures of the ledger are fresh",
            "Age of the last round. Several health-aggregators take one each.",
            [Query(f"min({series('atlas_ledger_age_seconds')})", "age")],
            "s",
            Levels(warn=60, alarm=300),
            width=4,
            trail=trails.of_services("health-aggregator"),
            height=8,
        ),
        Panel(
            "Few records are on their way",
            "Records that a group has still to take.",
            [Query(greatest(series("atlas_ledger_in_flight_records"), *_PLACE), "{{group}} {{topic}}")],
            "short",
            ANY,
        ),
        Panel(
            "Every group made something of every record",
            "Records by what a group made of them: applied, archived, dead-lettered, passed over.",
            [Query(greatest(series("atlas_ledger_records"), *_PLACE, "outcome"), "{{group}} {{topic}} {{outcome}}")],
            "short",
            ANY,
        ),
    ),
)
