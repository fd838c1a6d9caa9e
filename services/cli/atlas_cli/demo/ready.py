"""Whether the mesh is up: every service says that it is ready."""

from collections.abc import Mapping

import aiohttp
from atlas_local.waiting import wait_until

from atlas_cli.settings import CliSettings
from atlas_cli.terminal.faults import START_IT
from atlas_cli.terminal.output import CommandError

READY_WITHIN_S = 60.0


def services_of(settings: CliSettings) -> dict[str, str]:
    """Where each service answers, without a slash at the end."""
    urls = {
        "gateway": settings.gateway_url,
        "relay": settings.relay_url,
        "projector": settings.projector_url,
        "archiver": settings.archiver_url,
        "health-aggregator": settings.health_url,
    }
    return {name: url.rstrip("/") for name, url in urls.items()}


async def require_ready(session: aiohttp.ClientSession, services: Mapping[str, str]) -> None:
    """Wait until every service says that it is ready: a mesh that has just started may still share out partitions."""

    async def ready(url: str) -> bool:
        async with session.get(f"{url}/health/ready") as response:
            reasons[url] = await response.text()
            return response.status == 200

    reasons: dict[str, str] = {}
    for name, url in services.items():
        try:
            await wait_until(f"{name} to be ready", lambda url=url: ready(url), READY_WITHIN_S)
        except TimeoutError:
            raise CommandError(f"{name} at {url} is not ready: {reasons.get(url, 'no answer')}") from None
        except aiohttp.ClientError as error:
            raise CommandError(f"{name} at {url} does not answer ({error}); {START_IT}") from None
