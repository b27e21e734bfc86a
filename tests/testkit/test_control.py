"""What a test can do to a server: kill, stop, pause and start its processes, restart all of it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import logging
import socket
import time
import uuid

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from kafka_persist_testkit import ServerFailed, TestServer, _zookeeper_wire
from kafka_persist_testkit._probe import open_probe

pytestmark = pytest.mark.broker

QUIET = logging.getLogger("kafka-clients")  # what clients say about brokers that we kill


@pytest.fixture(scope="module")
def patients():
    """A server of each mode for all tests here, started when first asked for; each test leaves it running."""
    with contextlib.ExitStack() as servers:
        yield functools.cache(lambda mode: servers.enter_context(TestServer(mode)))


@pytest.fixture(params=["zookeeper", "kraft"])
def server(request, patients):
    return patients(request.param)


@pytest.fixture
def zookeeper_patient(patients):
    return patients("zookeeper")


@pytest.fixture
def topic(server):
    """A topic with one record."""
    name = f"topic-{uuid.uuid4().hex[:8]}"
    server.create_topics(name)
    write(server, name)
    return name


def write(server, topic):
    with Producer(server.client_config(), logger=QUIET) as producer:
        producer.produce(topic, value=b"kept")
        assert producer.flush(60) == 0


def records(server, topic):
    """The values in a topic; None if there is no such topic."""
    with open_probe(server.bootstrap_servers) as probe:
        if probe.partitions(topic) == 0:
            return None
    config = {**server.client_config(), "group.id": "g", "enable.auto.commit": False}
    with Consumer(config, logger=QUIET) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        return [consumer.poll(60).value()]


def test_a_killed_broker_comes_back_with_its_port_and_its_records(server, topic):
    port, pid = server.broker.port, server.broker.pid

    server.broker.kill()
    assert (server.broker.is_running, server.broker.exit_code, server.broker.pid) == (False, -9, None)
    with pytest.raises(ServerFailed, match="broker-1 ended with signal SIGKILL"):
        server.check()

    server.broker.start()
    assert (server.broker.port, server.broker.is_running, server.broker.pid == pid) == (port, True, False)
    assert records(server, topic) == [b"kept"]
    server.check()


def test_a_paused_broker_answers_nothing_until_it_goes_on(server):
    with open_probe(server.bootstrap_servers) as probe:
        server.broker.pause()
        assert repr(server.broker) == f"<Broker broker-1 port={server.broker.port} paused>"
        assert probe.brokers(0.3) == frozenset()

        server.broker.resume()
        assert probe.brokers(60) == {1}


def test_a_restart_keeps_the_address_and_the_data_if_asked(server, topic):
    address = server.bootstrap_servers

    server.restart()
    assert (server.bootstrap_servers, records(server, topic)) == (address, [b"kept"])

    server.restart(keep_data=False)
    assert (server.bootstrap_servers, records(server, topic)) == (address, None)


def test_a_paused_broker_can_be_stopped(server):
    server.broker.pause()

    server.broker.stop()

    assert server.broker.exit_code == 143  # what Java says after a clean end by SIGTERM
    server.broker.start()


def test_zookeeper_can_be_killed_and_paused(zookeeper_patient):
    zookeeper = zookeeper_patient.zookeeper
    zookeeper.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", zookeeper.port)).close()

    zookeeper.start()
    zookeeper.pause()
    assert not _zookeeper_wire.is_serving(zookeeper.port, seconds=0.2)

    zookeeper.start()  # a paused one goes on
    zookeeper_patient.create_topics("after")  # the broker has found it again


def test_a_broker_whose_session_ends_while_it_starts_is_started_again(gone_after):
    """As on a machine that is too busy for it: the broker itself gives up then."""
    with gone_after(), TestServer(properties={"zookeeper.session.timeout.ms": "4000"}) as server:
        broker = server.broker
        broker.kill()
        before = len(broker.logs(100_000))
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            starting = threads.submit(broker.start)
            deadline = time.monotonic() + 60
            while not any("Session establishment complete" in line for line in broker.logs(100_000)[before:]):
                assert time.monotonic() < deadline
                time.sleep(0.002)
            broker.pause()
            time.sleep(6)  # ZooKeeper ends sessions of 4 s that nobody keeps up, at the next tick of 2 s
            broker.resume()
            starting.result(60)
        assert any("SessionExpiredException" in line for line in broker.logs(100_000)[before:])
        server.create_topics("after")


@pytest.mark.parametrize("mode", ["zookeeper", "kraft"])
def test_a_cluster_goes_on_without_one_of_its_brokers(mode):
    with TestServer(mode, brokers=3) as server:
        assert [broker.broker_id for broker in server.brokers] == [1, 2, 3]
        with open_probe(server.bootstrap_servers) as probe:
            assert probe.brokers(60) == {1, 2, 3}
        server.create_topics("t", replication_factor=3)

        server.brokers[2].kill()

        write(server, "t")
        assert records(server, "t") == [b"kept"]
