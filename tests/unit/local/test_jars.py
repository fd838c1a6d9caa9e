import hashlib

import pytest
from atlas_local import jars
from atlas_local.jars import ENDPOINTS, Jar, JarsMissing, ensure_jars, read_lock


def test_the_lock_names_kafka_itself_and_whole_hashes():
    locked = read_lock()
    coordinates = {f"{jar.group}:{jar.artifact}:{jar.version}" for jar in locked}
    assert set(ENDPOINTS) <= coordinates
    assert all(len(jar.sha256) == 64 for jar in locked)
    assert len({jar.file_name for jar in locked}) == len(locked)


def test_a_jar_is_known_by_its_content(tmp_path):
    path = tmp_path / "a-1.jar"
    jar = Jar("g", "a", "1", hashlib.sha256(b"right").hexdigest())
    assert jar.file_name == path.name
    assert not jar.is_at(path)
    path.write_bytes(b"wrong")
    assert not jar.is_at(path)
    path.write_bytes(b"right")
    assert jar.is_at(path)


@pytest.fixture
def one_jar(monkeypatch):
    jar = Jar("g", "a", "1", hashlib.sha256(b"right").hexdigest())
    monkeypatch.setattr(jars, "read_lock", lambda: (jar,))
    return jar


def test_nothing_is_fetched_when_all_is_there(tmp_path, one_jar, monkeypatch):
    (tmp_path / one_jar.file_name).write_bytes(b"right")
    monkeypatch.setattr(jars, "_fetch_with_jgo", lambda *_: pytest.fail("fetched"))
    assert ensure_jars(tmp_path) == tmp_path


def test_a_failed_download_without_maven_says_why(tmp_path, one_jar, monkeypatch):
    def offline(*_):
        raise OSError("no route")

    monkeypatch.setattr(jars, "_fetch_with_jgo", offline)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(JarsMissing, match="Maven Central: no route"):
        ensure_jars(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_jar_with_another_content_is_refused(tmp_path, one_jar, monkeypatch):
    def tampered(missing, scratch, target):
        (scratch / "a-1.jar").write_bytes(b"wrong")
        jars._place(missing[0], scratch / "a-1.jar", target)

    monkeypatch.setattr(jars, "_fetch_with_jgo", tampered)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(JarsMissing, match=r"a-1\.jar is not the file"):
        ensure_jars(tmp_path)
    assert not (tmp_path / "a-1.jar").exists()


def test_maven_is_the_second_way(tmp_path, one_jar, monkeypatch):
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text(
        '#!/bin/sh\nfor a in "$@"; do case $a in -DoutputDirectory=*) printf right > "${a#*=}/a-1.jar";; esac; done\n'
    )
    maven.chmod(0o755)

    def offline(*_):
        raise OSError("no route")

    monkeypatch.setattr(jars, "_fetch_with_jgo", offline)
    monkeypatch.setenv("PATH", f"{maven.parent}:/usr/bin:/bin")
    target = tmp_path / "jars"
    assert (ensure_jars(target) / "a-1.jar").read_bytes() == b"right"
