"""Start the gateway."""

from atlas_runtime.run import run

from atlas_gateway.app import serve
from atlas_gateway.settings import GatewaySettings

if __name__ == "__main__":
    run(GatewaySettings(), serve)
