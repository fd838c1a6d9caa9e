"""Kafka's jars: fetched from Maven Central once, held against `jars.lock`, shared by every checkout of this user."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from atlas_local.supervising.component import StartFailed

KAFKA_VERSION = "4.3.1"
ENDPOINTS = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}")
LOCK = Path(__file__).with_name("jars.lock")
_HEADER = "# The jars of Apache Kafka and their SHA-256. Made by: python -m atlas_local.jars\n"
_DOWNLOADS_AT_ONCE = 8
_MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_MAVEN_ONE = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"


class JarsMissing(StartFailed):
    """The jars could not be fetched, or are not those that the lock names."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One jar as the lock names it."""

    group: str
    artifact: str
    version: str
    sha256: str
    classifier: str = ""

    @property
    def file_name(self) -> str:
        """Its name in a directory of jars."""
        return f"{self.artifact}-{self.version}{'-' if self.classifier else ''}{self.classifier}.jar"

    def is_at(self, path: Path) -> bool:
        """Whether the file is there and has the right content."""
        return path.is_file() and _sha256(path) == self.sha256


def read_lock(path: Path = LOCK) -> tuple[Jar, ...]:
    """The jars that the lock names."""
    lines = (line.split() for line in path.read_text().splitlines() if line and not line.startswith("#"))
    pairs = ((coordinates.split(":"), sha256) for coordinates, sha256 in lines)
    return tuple(Jar(group, artifact, version, sha256) for (group, artifact, version), sha256 in pairs)


def cache_directory(name: str = f"kafka-{KAFKA_VERSION}") -> Path:
    """Where the jars are kept: ATLAS_CACHE, else the user's cache directory."""
    chosen = os.environ.get("ATLAS_CACHE")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "atlas"
    return base / name


def ensure_jars(directory: Path | None = None) -> Path:
    """A directory that holds every jar of Kafka's lock, fetching what is missing; raises JarsMissing."""
    return ensure(read_lock(), ENDPOINTS, directory or cache_directory())


def ensure(jars: Sequence[Jar], endpoints: Sequence[str], target: Path) -> Path:
    """The directory `target` with every one of `jars`, which are `endpoints` and what they depend on.

    Two processes may do this at once: each jar is moved into its place whole. Raises JarsMissing.
    """
    # Names only: hashing 54 MB at each start would cost more than it could find.
    missing = [jar for jar in jars if not (target / jar.file_name).is_file()]
    if not missing:
        return target
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as scratch:
        try:
            _fetch_with_jgo(missing, Path(scratch), target)
        except Exception as error:
            # jgo knows no mirrors; a machine that can only reach one has it in Maven's own settings.
            maven = shutil.which("mvn")
            if maven is None:
                raise JarsMissing(f"the jars could not be fetched from Maven Central: {error}") from error
            _copy_with_maven(maven, endpoints, Path(scratch))
            for jar in missing:
                _place(jar, Path(scratch) / jar.file_name, target)
    return target


def ensure_one(jar: Jar, target: Path) -> Path:
    """That jar alone, which has all it needs inside, in the directory `target`. Raises JarsMissing."""
    found = target / jar.file_name
    if not found.is_file():
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target) as scratch:
            try:
                _fetch_with_jgo([jar], Path(scratch), target)
            except Exception as error:
                maven = shutil.which("mvn")
                if maven is None:
                    raise JarsMissing(f"{jar.file_name} could not be fetched from Maven Central: {error}") from error
                named = f"{jar.group}:{jar.artifact}:{jar.version}:jar:{jar.classifier}"
                _run_maven(
                    [maven, "-q", "-B", _MAVEN_ONE, f"-Dartifact={named}", f"-DoutputDirectory={scratch}"], scratch
                )
                _place(jar, Path(scratch) / jar.file_name, target)
    return found


def _fetch_with_jgo(jars: list[Jar], scratch: Path, target: Path) -> None:
    from jgo.maven import MavenContext

    local = MavenContext().repo_cache
    context = MavenContext(repo_cache=scratch / "repository")

    def fetch(jar: Jar) -> None:
        known = local / jar.group.replace(".", "/") / jar.artifact / jar.version / jar.file_name
        if jar.is_at(known):
            _place(jar, Path(shutil.copyfile(known, scratch / jar.file_name)), target)
        else:
            component = context.project(jar.group, jar.artifact).at_version(jar.version)
            _place(jar, component.artifact(jar.classifier).resolve(), target)

    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        list(pool.map(fetch, jars))


def _copy_with_maven(maven: str, endpoints: Sequence[str], scratch: Path) -> None:
    dependencies = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
        for group, artifact, version in (endpoint.split(":") for endpoint in endpoints)
    )
    (scratch / "pom.xml").write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>atlas</groupId><artifactId>jars</artifactId><version>1</version>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )
    _run_maven([maven, "-q", "-B", _MAVEN_COPY, f"-DoutputDirectory={scratch}"], scratch)


def _run_maven(command: Sequence[str], scratch: Path | str) -> None:
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise JarsMissing(f"the jars could not be fetched by Maven: {done.stdout.strip()[-1000:]}")


def _place(jar: Jar, found: Path, target: Path) -> None:
    if not jar.is_at(found):
        raise JarsMissing(f"{jar.file_name} is not the file that {LOCK.name} names")
    found.replace(target / jar.file_name)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_lock(path: Path = LOCK, endpoints: Sequence[str] = ENDPOINTS, header: str = _HEADER) -> int:
    """Resolve the dependencies anew and write the lock; gives the number of jars."""
    import jgo

    lines = []
    for artifact in jgo.resolve("+".join(endpoints)):
        coordinates = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
        lines.append(f"{coordinates} {_sha256(artifact.resolve())}\n")
    path.write_text(header + "".join(sorted(lines)))
    return len(lines)


if __name__ == "__main__":
    write_lock()
