"""What is measured of canaries."""

from prometheus_client import Counter, Histogram

# From a cached answer to a segment that a day's archiver holds for five minutes.
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

STAGE_SECONDS = Histogram(
    "atlas_canary_stage_seconds",
    "Time from sending a canary until it had come to a stage of its way",
    ["way", "stage"],
    buckets=BUCKETS_S,
)
LOST = Counter("atlas_canary_lost_total", "Canaries that were not at a stage in their time", ["way", "stage"])
FAILED = Counter("atlas_canary_failed_total", "Canaries that nobody took, or could tell of", ["way", "stage"])
