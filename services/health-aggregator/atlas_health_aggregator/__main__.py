"""python -m atlas_health_aggregator"""

from atlas_runtime.run import run

from atlas_health_aggregator.app import serve
from atlas_health_aggregator.settings import HealthAggregatorSettings

if __name__ == "__main__":
    run(HealthAggregatorSettings(), serve)
