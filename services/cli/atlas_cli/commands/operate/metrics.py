"""atlas metrics: what the services measure, without a Prometheus."""

import asyncio
from typing import Annotated

import typer

from atlas_cli.settings import load_settings
from atlas_cli.terminal.help_groups import OPERATE, add
from atlas_cli.terminal.output import CommandError, JsonFlag, print_rows, say

_METRICS_MAX_BYTES = 64_000_000


def register(app: typer.Typer) -> None:
    """Add `metrics`."""
    add(app, metrics, "atlas metrics relay --grep lag", group=OPERATE)


def metrics(
    service: Annotated[str, typer.Argument(help="gateway, relay, projector, archiver or health; all without it.")] = "",
    grep: Annotated[str, typer.Option(help="Only metrics whose name contains this.")] = "atlas_",
    as_json: JsonFlag = False,
) -> None:
    """Print the metrics of the services that answer."""
    settings = load_settings()
    urls = {
        "gateway": settings.gateway_url,
        "relay": settings.relay_url,
        "projector": settings.projector_url,
        "archiver": settings.archiver_url,
        "health": settings.health_url,
    }
    if service and service not in urls:
        raise CommandError(f"no service is named {service}; there are {', '.join(urls)}")
    chosen = {name: url for name, url in urls.items() if name == (service or name)}
    texts = asyncio.run(_fetch_all(chosen))
    if not texts:
        raise CommandError("no service answers; start the mesh: atlas up")
    rows = [row for name, text in texts.items() for row in _samples(name, text, grep)]
    if as_json:
        print_rows(rows, as_json=True)
    else:
        for row in rows:
            say(f"{row['service']:10} {row['sample']} {row['value']}")


def _samples(service: str, text: str, grep: str) -> list[dict[str, object]]:
    lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    try:
        return [
            {"service": service, "sample": sample, "value": float(value)}
            for sample, _, value in lines
            if grep in sample.partition("{")[0]
        ]
    except ValueError as error:
        raise CommandError(f"what {service} answers at /metrics are no metrics: {error}") from None


async def _fetch_all(urls: dict[str, str]) -> dict[str, str]:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=5)

    async def fetch(session: aiohttp.ClientSession, url: str) -> str | None:
        try:
            async with session.get(f"{url}/metrics") as response:
                if response.status != 200:
                    return None
                return (await response.content.read(_METRICS_MAX_BYTES)).decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None

    async with aiohttp.ClientSession(timeout=timeout) as session:
        texts = await asyncio.gather(*(fetch(session, url) for url in urls.values()))
    return {name: text for name, text in zip(urls, texts, strict=True) if text is not None}
