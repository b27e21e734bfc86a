"""What a test can do to a server: kill, stop, pause and start its processes, restart all of it."""

from __future__ import annotations

import socket

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from kafka_persist_testkit import ServerFailed, TestServer, _zookeeper_wire
from kafka_persist_testkit._probe import open_probe

pytestmark = pytest.mark.broker


@pytest.fixture(params=["zookeeper", "kraft"])
def written(request):
    """A server of its own with one record in topic `t`."""
    with TestServer(request.param, topics=["t"]) as server:
        with Producer(server.client_config()) as producer:
            producer.produce("t", value=b"kept")
            assert producer.flush(30) == 0
        yield server


def records(server):
    """The values in topic `t`; None if there is no such topic."""
    with open_probe(server.bootstrap_servers) as probe:
        if probe.partitions("t") == 0:
            return None
    with Consumer(
        {**server.client_config(), "group.id": "g", "enable.auto.commit": False, "enable.partition.eof": True}
    ) as consumer:
        consumer.assign([TopicPartition("t", 0, 0)])
        first = consumer.poll(30)
        return [] if first.error() else [first.value()]


def test_a_killed_broker_comes_back_with_its_port_and_its_records(written):
    port, pid = written.broker.port, written.broker.pid

    written.broker.kill()
    assert (written.broker.is_running, written.broker.exit_code, written.broker.pid) == (False, -9, None)
    with pytest.raises(ServerFailed, match="broker-1 ended with signal SIGKILL"):
        written.check()

    written.broker.start()
    assert (written.broker.port, written.broker.is_running, written.broker.pid == pid) == (port, True, False)
    assert records(written) == [b"kept"]
    written.check()


def test_restarts_and_pauses(written):
    """One server for several promises: each start takes seconds."""
    address = written.bootstrap_servers

    written.broker.pause()
    assert repr(written.broker) == f"<Broker broker-1 port={written.broker.port} paused>"
    with open_probe(address) as probe:
        assert probe.brokers(0.3) == frozenset()
        written.broker.resume()
        assert probe.brokers(30) == {1}

    written.restart()
    assert (written.bootstrap_servers, records(written)) == (address, [b"kept"])

    written.restart(keep_data=False)
    assert (written.bootstrap_servers, records(written)) == (address, None)


def test_zookeeper_can_be_killed_and_paused(own_server):
    zookeeper = own_server.zookeeper
    zookeeper.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", zookeeper.port)).close()

    zookeeper.start()
    zookeeper.pause()
    assert not _zookeeper_wire.is_serving(zookeeper.port, seconds=0.2)

    zookeeper.start()  # a paused one goes on
    own_server.create_topics("after")  # the broker has found it again


def test_a_paused_broker_can_be_stopped(own_server):
    own_server.broker.pause()

    own_server.broker.stop()

    assert own_server.broker.exit_code == 143  # what Java says after a clean end by SIGTERM


@pytest.mark.parametrize("mode", ["zookeeper", "kraft"])
def test_a_cluster_goes_on_without_one_of_its_brokers(mode):
    with TestServer(mode, brokers=3) as server, open_probe(server.bootstrap_servers) as probe:
        assert [broker.broker_id for broker in server.brokers] == [1, 2, 3]
        assert probe.brokers(30) == {1, 2, 3}
        server.create_topics("t", replication_factor=3)

        server.brokers[2].kill()
        with Producer(server.client_config()) as producer:
            producer.produce("t", value=b"kept")
            assert producer.flush(30) == 0

        assert records(server) == [b"kept"]
