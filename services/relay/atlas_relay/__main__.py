"""python -m atlas_relay"""

from atlas_runtime.run import run

from atlas_relay.app import serve
from atlas_relay.settings import RelaySettings

if __name__ == "__main__":
    run(RelaySettings(), serve)
