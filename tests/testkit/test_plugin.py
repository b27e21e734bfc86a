"""The pytest fixtures, in a pytest run of their own, on the server of this one."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.broker

CONFTEST = """
import sys
from importlib import metadata
try:
    metadata.distribution("kafka-persist")
except metadata.PackageNotFoundError:
    pytest_plugins = ["kafka_persist_testkit.plugin"]
"""


@pytest.fixture
def run_pytest(run_python, tmp_path):
    def run(test, *options, env=None):
        (tmp_path / "conftest.py").write_text(CONFTEST)
        (tmp_path / "test_it.py").write_text(test)
        (tmp_path / "pytest.ini").write_text("[pytest]\n")  # or that of a folder above would count
        words = [str(tmp_path), "-q", "-p", "no:cacheprovider", "-p", "no:randomly", f"--rootdir={tmp_path}", *options]
        child = run_python(f"import pytest; sys.exit(pytest.main({words!r}))", env=env)
        out, err = child.communicate(timeout=120)
        return child.returncode, out + err

    return run


def test_the_fixtures_give_a_server_and_a_name_of_ones_own(run_pytest, zookeeper_server):
    code, said = run_pytest(
        """
import re, pytest
prefixes = []

@pytest.mark.parametrize("name", ["a/b", "c"])
def test_names(kafka_server, kafka_prefix, name):
    prefixes.append(kafka_prefix)
    kafka_server.create_topics(kafka_prefix + "topic")
    assert re.fullmatch(r"test_names_(a_b|c)-[0-9a-f]{8}-", kafka_prefix)

def test_each_test_has_its_own(kafka_prefix):
    assert kafka_prefix not in prefixes and len(set(prefixes)) == 2
""",
        env={"KAFKA_PERSIST_TEST_BOOTSTRAP": zookeeper_server.bootstrap_servers},
    )

    assert (code, "3 passed" in said) == (0, True), said


def test_the_mode_is_an_option_and_the_factory_starts_and_stops_servers(run_pytest):
    code, said = run_pytest(
        """
def test_mode(kafka_server):
    assert (kafka_server.mode, kafka_server.engine, kafka_server.kafka_version) == ("kraft", "java", "4.1.0")

def test_factory(kafka_server, kafka_server_factory):
    external = kafka_server_factory(engine="external", bootstrap_servers=kafka_server.bootstrap_servers)
    assert (external.engine, external.bootstrap_servers) == ("external", kafka_server.bootstrap_servers)
""",
        "--kafka-mode=kraft",
    )

    assert (code, "2 passed" in said) == (0, True), said


def test_a_missing_server_is_an_error_and_no_skip(run_pytest, tmp_path):
    code, said = run_pytest(
        "def test_it(kafka_server): pass",
        env={"KAFKA_HOME": str(tmp_path), "DOCKER_HOST": f"unix://{tmp_path}/no.sock"},
    )

    assert (code, "1 error" in said, "skipped" in said) == (1, True, False), said
    assert "Ways to get a server" in said


def test_runs_that_need_no_server_load_nothing_for_one(run_pytest):
    code, said = run_pytest(
        """
import sys
def test_it():
    heavy = {"attrs", "confluent_kafka", "docker", "jgo", "kazoo", "kafka_persist_testkit.server", "trio"}
    assert heavy & set(sys.modules) == set()
""",
        "-p",
        "no:trio",
        "-p",
        "no:anyio",
        "-p",
        "no:hypothesispytest",
        "-p",
        "no:kafka_persist_compat",
    )

    assert (code, "1 passed" in said) == (0, True), said
