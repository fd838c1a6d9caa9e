"""What is counted of attempts that failed; exposed by a service's /metrics."""

from prometheus_client import Counter

RETRIES = Counter("atlas_retries", "Attempts that failed for a passing reason and were made again", ["what"])
