"""The pytest fixtures, in a pytest run of their own, on the server of this one."""

from __future__ import annotations

import os
import signal
import socket
import struct
import tempfile
import time
from pathlib import Path

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
        out, err = child.communicate(timeout=240)
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


def test_journal_and_persistence_go_with_pytest_trio_in_both_ways(run_pytest, zookeeper_server):
    """Tests that are marked, without `trio_mode`; the topics of a journal are the test's own."""
    code, said = run_pytest(
        """
import pytest
from kafka_persist import AtomicWrite

@pytest.mark.trio
async def test_journal(journal, unique_id):
    assert await journal.highest_sequence_nr(unique_id) == 0

@pytest.mark.trio
@pytest.mark.parametrize("round", [1, 2])
async def test_persistence(persistence, round):
    async with persistence.entity("account", initial=0, evolve=lambda state, event: state + event) as account:
        await account.persist(5)
        assert account.state == 5
""",
        env={"KAFKA_PERSIST_TEST_BOOTSTRAP": zookeeper_server.bootstrap_servers},
    )

    assert (code, "3 passed" in said) == (0, True), said


@pytest.mark.parametrize("kind", ["async def", "def"])
def test_where_nothing_runs_trio_tests_the_fixtures_say_what_is_missing(run_pytest, kind):
    """Instead of "async def functions are not natively supported", or a coroutine where a persistence should be."""
    code, said = run_pytest(f"{kind} test_it(memory_persistence): pass")

    assert code == 1
    assert "trio_mode = true" in said, said
    assert "@pytest.mark.trio" in said, said


def test_journal_goes_with_anyios_plugin_on_trio_and_the_server_with_asyncio(run_pytest, zookeeper_server):
    code, said = run_pytest(
        """
import asyncio, pytest
from confluent_kafka import Producer

@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request):
    return request.param

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_journal(journal, unique_id):
    assert await journal.highest_sequence_nr(unique_id) == 0

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asyncio(kafka_server, topic):
    with Producer(kafka_server.client_config()) as producer:
        producer.produce(topic, b"value")
        assert await asyncio.to_thread(producer.flush, 30) == 0
""",
        "-p",
        "no:trio",
        env={"KAFKA_PERSIST_TEST_BOOTSTRAP": zookeeper_server.bootstrap_servers},
    )

    assert (code, "2 passed" in said) == (0, True), said


SHARED = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_it(kafka_server, topic, tmp_path_factory, number):
    place = tmp_path_factory.getbasetemp().parent
    (place / f"{kafka_server.bootstrap_servers.replace(':', '-')}.server").touch()
    assert kafka_server.wait_for_leader(topic) == 1
    assert len(list(place.glob("*.server"))) == 1
"""


@pytest.fixture
def runtime_dir():
    """With a short name: Unix sockets want that."""
    with tempfile.TemporaryDirectory(prefix="kp") as directory:
        yield Path(directory)


def test_with_xdist_all_workers_share_a_server_if_they_are_told_to(run_pytest, tmp_path, runtime_dir):
    """And nothing of it is left a while after the last one has ended."""
    env = {"XDG_RUNTIME_DIR": str(runtime_dir)}
    code, said = run_pytest(SHARED, "-n2", "--kafka-shared", f"--basetemp={tmp_path}/base", env=env)

    assert (code, "4 passed" in said) == (0, True), said
    until(lambda: not list((runtime_dir / f"kafka-persist-{os.getuid()}").glob("*.sock")))


def test_a_server_is_found_again_by_the_next_run_and_by_no_other_user(run_pytest, runtime_dir):
    """The second run finds the topic of the first one. Then its keeper is asked to end, as a shutdown would."""
    env = {"XDG_RUNTIME_DIR": str(runtime_dir)}
    first = run_pytest("def test_it(kafka_server): kafka_server.create_topics('kept')", "--kafka-reuse", env=env)
    again = run_pytest(
        """
import pytest
from kafka_persist_testkit import ServerStateError

def test_it(kafka_server):
    assert kafka_server.wait_for_leader("kept") == 1
    kafka_server.check()
    assert kafka_server.logs(5)
    with pytest.raises(ServerStateError, match="shared with other processes"):
        kafka_server.restart()
    with pytest.raises(ServerStateError, match="no control over single brokers"):
        kafka_server.broker.kill()
""",
        "--kafka-reuse",
        env=env,
    )

    directory = runtime_dir / f"kafka-persist-{os.getuid()}"
    (sock,) = directory.glob("*.sock")
    os.kill(keeper_of(sock), signal.SIGTERM)
    until(lambda: not sock.exists())
    assert (first[0], again[0]) == (0, 0), first[1] + again[1]

    directory.chmod(0o755)
    code, said = run_pytest("def test_it(kafka_server): pass", "--kafka-reuse", env=env)
    assert code == 1
    assert "is not a directory that only this user can enter" in said


def keeper_of(path):
    """The process that listens at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        pid, *_ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid


def until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)  # nothing tells


def test_a_failing_test_shows_the_servers_last_lines_and_the_kept_data(run_pytest, tmp_path):
    code, said = run_pytest(
        "def test_it(kafka_server): assert kafka_server.client_config('alice') == {}",
        "--kafka-keep",
        "--kafka-security=sasl_plaintext",
        env={"TMPDIR": str(tmp_path)},
    )

    assert (code, "1 failed" in said) == (1, True), said
    assert "- Kafka: <TestServer zookeeper java up at 127.0.0.1:" in said
    assert "broker-1: " in said
    assert "no user 'alice'" in said
    (kept,) = tmp_path.glob("kafka-persist-*")
    assert f"Kafka's data and logs are kept in {kept}" in said
    assert list(kept.glob("broker-1/*-0")) or list(kept.glob("broker-1/meta.properties"))
