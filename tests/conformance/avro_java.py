"""Apache Avro's own Java library, asked from Python: the program in `java/` runs, a line in, a line out."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from atlas_local.jars import cache_directory, ensure, read_lock, write_lock

VERSION = "1.12.1"
ENDPOINTS = (f"org.apache.avro:avro:{VERSION}",)
LOCK = Path(__file__).with_name("java") / "avro.lock"
SOURCE = Path(__file__).with_name("java") / "Conformance.java"
_HEADER = "# The jars of Apache Avro and their SHA-256. Made by: python -m tests.conformance.avro_java\n"


def missing_java() -> str | None:
    """What of a Java that can compile is not on this machine; None when all is there."""
    missing = [tool for tool in ("java", "javac") if shutil.which(tool) is None]
    return f"no {' and no '.join(missing)} on the PATH: Apache Avro's own library can't be asked" if missing else None


class Refused(Exception):
    """What the library said against a request."""


class AvroJava:
    """The library. `ask` takes one request of the program's and gives its answer."""

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self._process = process
        self._errors = errors

    def ask(self, op: str, **request: Any) -> dict[str, Any]:
        """The answer; raises Refused with the library's reason."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"op": op, **request}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise RuntimeError(self._errors.read_text()[-2000:]) from None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the program ended: {self._errors.read_text()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer


def java_or_exit() -> AbstractContextManager[AvroJava]:
    """The same for a program: without a Java it says so and ends with 2."""
    if (reason := missing_java()) is not None:
        sys.stderr.write(f"{reason}\n")
        raise SystemExit(2)
    return avro_java()


@contextmanager
def avro_java() -> Iterator[AvroJava]:
    """The program, compiled and started; ended at the end."""
    jars = read_lock(LOCK)
    directory = ensure(jars, ENDPOINTS, cache_directory(f"avro-{VERSION}"))
    class_path = ":".join(str(directory / jar.file_name) for jar in jars)
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(["javac", "-cp", class_path, "-d", scratch, str(SOURCE)], check=True)
        errors = Path(scratch) / "errors"
        with (
            errors.open("w") as log,
            subprocess.Popen(
                ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", f"{scratch}:{class_path}", SOURCE.stem],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
            ) as process,
        ):
            try:
                yield AvroJava(process, errors)
            finally:
                process.kill()


if __name__ == "__main__":
    sys.stdout.write(f"{write_lock(LOCK, ENDPOINTS, _HEADER)} jars\n")
