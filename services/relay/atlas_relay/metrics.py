"""What the relay says about itself at /metrics."""

from prometheus_client import Counter, Gauge, Histogram

ROWS_SENT = Counter("atlas_relay_rows_sent_total", "Outbox rows that are on their topic and deleted")
BATCHES = Counter("atlas_relay_batches_total", "Batches claimed, sent and finished")
PARKED = Counter("atlas_relay_rows_parked_total", "Rows set aside with an error or behind one of their key")
RECOVERED = Counter("atlas_relay_batches_recovered_total", "Batches of another owner found sent and not deleted")
SEND_SECONDS = Histogram(
    "atlas_relay_send_seconds",
    "Time to send a batch and to have it acknowledged",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
BATCH_ROWS = Histogram(
    "atlas_relay_batch_rows",
    "Outbox rows that were sent together",
    buckets=(1, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000),
)
GROUPS_HELD = Gauge("atlas_relay_groups", "Groups of shards that this instance relays")
LEASE_EPOCH = Gauge("atlas_relay_lease_epoch", "Epoch of a lease this instance holds", ["group"])
BACKLOG_ROWS = Gauge("atlas_outbox_backlog_rows", "Committed rows not yet sent; an estimate above 1000 a group")
OLDEST_SECONDS = Gauge("atlas_outbox_oldest_row_seconds", "Age of the oldest row not yet sent; 0 when there is none")
PARKED_ROWS = Gauge("atlas_outbox_parked_rows", "Rows that are parked now")
TABLE_BYTES = Gauge("atlas_outbox_table_bytes", "Size of the outbox table with its indexes on disk")
