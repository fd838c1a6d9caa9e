"""The runbooks that panels link to: files of docs/runbooks, which compose mounts where Grafana serves them."""

# Below Grafana's own address. Who has the files on a page of their own changes this line.
SERVED_AT = "/public/runbooks"

BUDGET = "an-error-budget-burns.md"
CANARY = "a-canary-is-lost.md"
CONSUMER = "a-consumer-falls-behind.md"
BLOCKED = "a-consumer-is-blocked-by-a-transaction.md"
NOT_ARCHIVED = "a-partition-is-not-archived.md"
ARCHIVE_BEHIND = "the-archive-is-behind.md"
ARCHIVE_HOLE = "the-archive-has-a-hole.md"
READ_MODEL = "a-read-model-disagrees.md"
DEAD_LETTER = "a-record-is-in-the-dlq.md"
LOOP = "a-loop-is-stuck.md"
SERVER = "a-server-is-away.md"
SERVICE = "a-service-is-down.md"
TOPIC_DELETED = "a-topic-was-deleted.md"
UNACCOUNTED = "a-record-is-unaccounted-for.md"
OUTBOX = "outbox-is-growing.md"
REBUILD = "rebuild-a-projection.md"


def url(runbook: str) -> str:
    """Where a reader of a panel finds it."""
    return f"{SERVED_AT}/{runbook}"
