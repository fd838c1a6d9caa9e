"""A flag of a context is switched in the file while the gateway runs."""

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.integration.gateway.conftest import StartGateway, end


@pytest.fixture
def flags_file(tmp_path: Path) -> Path:
    return tmp_path / "flags.json"


@pytest.fixture
def url(
    start_gateway: StartGateway, processes: dict[str, subprocess.Popen[bytes]], gateway_url: str, flags_file: Path
) -> Iterator[str]:
    """A gateway with a file of flags that is not there yet; the session's own made the topics and deletes them."""
    assert gateway_url
    url = start_gateway(flags_file=str(flags_file))
    yield url
    end([processes.pop(url)])


def switch(flags_file: Path, to: str) -> None:
    flags_file.write_text(f'{{"yards.registration": {to}}}')


async def test_registration_closes_and_opens_without_a_restart(url: str, flags_file: Path) -> None:
    async def register(key: str) -> tuple[int, str]:
        body = {"email": f"{key}@example.org", "display_name": "Ada Lovelace", "country": "GB"}
        headers = {"Idempotency-Key": key}
        async with (
            aiohttp.ClientSession(url) as client,
            client.post("/yards", json=body, headers=headers) as response,
        ):
            return response.status, (await response.json()).get("title", "")

    before = uuid.uuid4().hex
    assert (await register(before))[0] == 201
    switch(flags_file, "false")
    assert await register(uuid.uuid4().hex) == (409, "Registration is closed")
    assert (await register(before))[0] == 201, "a key that was answered keeps its answer"
    switch(flags_file, "true")
    assert (await register(uuid.uuid4().hex))[0] == 201
