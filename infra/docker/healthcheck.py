"""Ask the service in this container how it is: exit code 0 when it answers 200.

`python healthcheck.py live` asks /health/live, `ready` asks /health/ready; it prints the answer when that is not 200.
The image has no curl, and this starts in a third of the time that an import of aiohttp takes.
"""

import http.client
import os
import sys

_TIMEOUT_S = 4.0  # below the timeout of the health check, so that the reason is printed and not cut off


def check(probe: str, port: int) -> str | None:
    """None when /health/<probe> on the loopback address answers 200, else what it said instead."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", f"/health/{probe}")
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    return None if response.status == http.client.OK else f"{response.status} {body}"


def main(arguments: list[str]) -> int:
    """The exit code that a health check wants."""
    reason = check(arguments[0] if arguments else "live", int(os.environ.get("ATLAS_HTTP_PORT", "8080")))
    if reason is not None:
        sys.stderr.write(f"{reason}\n")
    return 0 if reason is None else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
