"""The docker engine on a Docker engine: a broker in a container, its end by whatever way, and what it says of faults."""

import os
import signal
import subprocess
import sys
import uuid
from itertools import repeat
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from kafka_persist_testkit import (
    InvalidSettings,
    PortInUse,
    ServerFailed,
    ServerStateError,
    ServerUnavailable,
    TestServer,
)
from kafka_persist_testkit._engines.docker import _shares_network

LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}

pytestmark = pytest.mark.docker

SERVE = """
import signal
from kafka_persist_testkit import TestServer
signal.signal(signal.SIGINT, signal.default_int_handler)
with TestServer("kraft", engine="docker"):
    print("up", flush=True)
    signal.pause()
"""


@pytest.fixture(scope="module")
def server():
    with TestServer("kraft", engine="docker", topics=["kept"]) as started:
        yield started


def write(server, topic, value):
    with Producer(server.client_config()) as producer:
        producer.produce(topic, value, partition=0)
        assert producer.flush(60) == 0


def read(server, topic):
    config = {**server.client_config(), "group.id": uuid.uuid4().hex}
    consumer = Consumer(config)
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        return consumer.consume(1, timeout=60)[0].value()
    finally:
        consumer.close()


def test_a_container_serves_clients_on_this_machine_only(server):
    write(server, "kept", b"one")
    assert read(server, "kept") == b"one"
    assert (server.engine, server.kafka_version, server.zookeeper_connect) == ("docker", "4.1.0", None)
    assert server.bootstrap_servers.startswith("127.0.0.1:")
    port = int(server.bootstrap_servers.rpartition(":")[2])
    assert listening_on(port)
    assert listening_on(port) <= LOOPBACK


def listening_on(port):
    """The addresses, as the kernel writes them, at which somebody listens on a port."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    addresses = {line[1] for line in lines if line[3] == "0A"}
    return {address for address, _, number in map(str.partition, addresses, repeat(":")) if number == f"{port:04X}"}


def test_a_restart_keeps_the_address_and_the_records(server):
    write(server, "kept", b"one")
    address = server.bootstrap_servers
    server.restart()
    server.check()
    assert server.bootstrap_servers == address
    assert read(server, "kept") == b"one"
    with pytest.raises(ServerStateError, match="restarts with its data only"):
        server.restart(keep_data=False)


def test_a_port_asked_for_by_number_is_used_or_refused(server, containers):
    before = containers()
    taken = int(server.bootstrap_servers.rpartition(":")[2])
    with pytest.raises(PortInUse, match=f"port {taken} is taken by another process"):
        TestServer("kraft", engine="docker", settings={"kafka.port": taken}).start()
    assert containers() == before


def test_a_broker_that_ends_at_the_start_says_why_and_leaves_nothing(containers):
    before = containers()
    server = TestServer("kraft", engine="docker", properties={"num.io.threads": "many"}, startup_timeout=1000)
    with pytest.raises(ServerFailed, match="ended with exit code 1; last log lines") as caught:
        server.start()
    assert caught.value.exit_code == 1
    assert "num.io.threads" in "\n".join(caught.value.log_tail)
    assert containers() == before


def test_a_broker_that_is_killed_is_noticed(engine, containers, wait_until_gone):
    before = containers()
    with TestServer("kraft", engine="docker") as server:
        (container,) = containers() - before
        processes = engine.containers.get(container).top()["Processes"]
        os.kill(next(int(row[1]) for row in processes if "/bin/java" in row[-1]), signal.SIGKILL)
        with pytest.raises(ServerFailed, match="ended with exit code 137"):
            while True:
                server.check()
    wait_until_gone(containers, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_test_process_that_ends_in_the_middle(containers, wait_until_gone, number):
    before = containers()
    child = subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with child:
        assert child.stdout.readline() == b"up\n"
        assert len(containers() - before) == 1
        child.send_signal(number)
    wait_until_gone(containers, before)


def test_a_start_that_is_interrupted_leaves_nothing(containers, wait_until_gone):
    before = containers()
    calls = []

    def interrupt():
        calls.append(None)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TestServer("kraft", engine="docker").start_with(interrupt)
    wait_until_gone(containers, before)


def test_an_image_that_cannot_be_had_is_named(monkeypatch):
    monkeypatch.setenv("KAFKA_PERSIST_TEST_DOCKER_IMAGE", "127.0.0.1:9/apache/kafka:4.1.0")
    with pytest.raises(
        ServerUnavailable, match=r"docker: Docker cannot make a container of 127\.0\.0\.1:9/apache/kafka"
    ):
        TestServer("kraft", engine="docker").start()


def test_an_engine_on_another_machine_is_refused(engine, monkeypatch):
    """Its containers listen on a loopback address that is not this machine's."""
    monkeypatch.setattr(engine.api, "base_url", "http://build-machine:2375")
    with pytest.raises(ServerUnavailable, match="the Docker engine is on another machine"):
        _shares_network(engine)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"brokers": 3}, "starts one broker"),
        ({"proxies": True}, "neither security nor proxies"),
        ({"keep_data": True}, "keeps no data on this machine"),
    ],
)
def test_what_the_engine_cannot_do_is_refused(arguments, reason):
    with pytest.raises(ServerUnavailable, match=reason):
        TestServer("kraft", engine="docker", **arguments).start()


def test_single_brokers_are_out_of_reach(server):
    with pytest.raises(ServerStateError, match="no control over single brokers"):
        server.broker.kill()
    with pytest.raises(InvalidSettings):
        TestServer("kraft", engine="docker", properties={"listeners": "PLAINTEXT://:1"}).start()
