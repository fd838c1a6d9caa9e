"""Set-up done once for a machine: Kafka's jars, and a rehearsal from which Java learns to start Kafka faster."""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from atlas_local.home import Home
from atlas_local.jars import ensure_jars
from atlas_local.java import find_java, start_cache
from atlas_local.ports import Ports
from atlas_local.servers.kafka import Kafka
from atlas_local.supervising.component import Runner, StartFailed


async def rehearse(cache: Path) -> None:
    """Run a broker once with nothing in it and keep what Java loaded and compiled; raises StartFailed.

    A broker then starts with half the processor time.
    """
    with tempfile.TemporaryDirectory() as scratch:
        home = Home(Path(scratch))
        home.make()
        recorded = Path(scratch) / "recorded.aot"
        kafka = Kafka(home, Ports(home.path / "ports.json"), java_options=(f"-XX:AOTCacheOutput={recorded}",))
        runner = Runner(kafka, home.log("kafka"))
        await runner.start()
        await runner.stop()  # Java writes the cache on its way out
        if not recorded.exists():
            raise StartFailed("Java wrote no cache")
        moved = cache.with_name(f".{cache.name}.{os.getpid()}")
        moved.write_bytes(recorded.read_bytes())
        moved.replace(cache)


def main() -> int:
    """Fetch and rehearse what was not yet; the rehearsal is left out where Java can't do it."""
    try:
        jars = ensure_jars()
        cache = start_cache(find_java(), jars)
    except StartFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if cache is not None and not cache.exists():
        try:
            asyncio.run(rehearse(cache))
        except StartFailed as error:
            sys.stderr.write(f"Kafka will start more slowly than it could: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
