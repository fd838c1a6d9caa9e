"""Schemas folders of tests: the same topics under other names, so that a test has them for itself."""

from pathlib import Path

from atlas_contracts.folder import TOPICS, files_named


def file_of(folder: Path, topic: str) -> Path:
    """The topics.yaml that declares it."""
    found = [folder / file for file in files_named(folder, TOPICS) if f"\n  {topic}:" in (folder / file).read_text()]
    assert len(found) == 1, f"{topic} is declared in {found}"
    return found[0]


def rename(folder: Path, topic: str, to: str) -> Path:
    """Give a declared topic another name; the file that says so."""
    file = file_of(folder, topic)
    file.write_text(file.read_text().replace(f"\n  {topic}:", f"\n  {to}:"))
    return file
