"""Several brokers: who leads, who follows, elections on request, and one after the other restarted. Real brokers."""

from __future__ import annotations

import logging
import time

import attrs
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from kafka_persist_testkit import ServerFailed, ServerStateError, TestServer

pytestmark = [pytest.mark.broker, pytest.mark.testkit]

QUIET = logging.getLogger("kafka-clients")
PROPERTIES = {"replica.lag.time.max.ms": "1000", "zookeeper.session.timeout.ms": "6000"}


@pytest.fixture(scope="module", params=["zookeeper", "kraft"])
def cluster(request):
    """Three brokers; in KRaft mode with three controllers that are nothing else."""
    kraft = request.param == "kraft"
    properties = {"replica.lag.time.max.ms": "1000"} if kraft else PROPERTIES
    controllers = 3 if kraft else 0
    with TestServer(
        request.param, brokers=3, controllers=controllers, proxies=True, properties=properties, startup_timeout=180.0
    ) as server:
        yield server


@pytest.fixture
def server(cluster):
    yield cluster
    for node in [*cluster.controllers, *cluster.brokers]:
        node.start()


@attrs.frozen
class Place:
    """A partition with a replica on each broker, and its leader, which is not the controller.

    A controller that is cut off from its own listener does nothing for anybody, so what is tested would not happen.
    """

    topic: str
    partition: int
    leader: int


@pytest.fixture
def place(server, kafka_prefix):
    topic = kafka_prefix + "t"
    server.create_topics(topic, partitions=3, replication_factor=3)
    for partition in range(3):
        assert server.wait_for_isr(topic, partition, size=3) == [1, 2, 3]
    controller = server.wait_for_controller()
    leaders = {server.wait_for_leader(topic, partition): partition for partition in range(3)}
    leader = next(number for number in leaders if number != controller)
    return Place(topic, leaders[leader], leader)


def broker_of(server, number):
    return next(broker for broker in server.brokers if broker.broker_id == number)


def write(server, place, *values, acks="all"):
    config = {**server.client_config(), "acks": acks, "delivery.timeout.ms": 60_000}
    reports = []
    with Producer(config, logger=QUIET) as producer:
        for value in values:
            producer.produce(
                place.topic, value, partition=place.partition, on_delivery=lambda *both: reports.append(both)
            )
        producer.flush(60)
    assert [error for error, _ in reports] == [None] * len(values)


def read(server, place, count):
    with Consumer({**server.client_config(), "group.id": "g", "enable.auto.commit": False}, logger=QUIET) as consumer:
        consumer.assign([TopicPartition(place.topic, place.partition, 0)])
        return [consumer.poll(60).value() for _ in range(count)]


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)  # nothing tells


def test_another_broker_takes_over_and_the_old_one_comes_back(server, place):
    """Kill the leader, wait for the next one; start it, wait until it is in sync, have it elected again."""
    where = (place.topic, place.partition)
    write(server, place, b"before")
    broker_of(server, place.leader).kill()

    new = server.wait_for_leader(*where, other_than=place.leader)
    assert server.wait_for_isr(*where, size=2) == sorted({1, 2, 3} - {place.leader})
    write(server, place, b"meanwhile")

    broker_of(server, place.leader).start()
    assert server.wait_for_isr(*where, size=3) == [1, 2, 3]
    assert new != place.leader
    assert server.elect_leader(*where) == place.leader, "the first replica is the preferred one, and it led first"
    assert read(server, place, 2) == [b"before", b"meanwhile"]


def test_another_controller_takes_over(server, kafka_prefix):
    old = server.wait_for_controller()
    nodes = {node.broker_id: node for node in server.brokers} | {node.node_id: node for node in server.controllers}
    nodes[old].kill()

    new = server.wait_for_controller(other_than=old)

    assert new in nodes.keys() - {old}
    server.create_topics(f"{kafka_prefix}after", replication_factor=2)  # it works


def test_a_paused_broker_is_missed_and_waited_for(server, place):
    where = (place.topic, place.partition)
    follower = next(number for number in (1, 2, 3) if number not in (place.leader, server.controller()))
    broker_of(server, follower).pause()
    write(server, place, b"it does not get this")
    assert follower not in server.wait_for_isr(*where, size=2)

    broker_of(server, follower).resume()

    assert server.wait_for_isr(*where, size=3) == [1, 2, 3]


def test_a_leader_that_its_followers_do_not_hear_is_alone_in_sync(server, place):
    """The proxy before the listener for other brokers: clients still reach the leader, its followers do not."""
    where = (place.topic, place.partition)
    with broker_of(server, place.leader).peers_proxy.cut_off():
        write(server, place, b"only the leader has this", acks="1")
        assert server.wait_for_isr(*where, size=1) == [place.leader]
    assert server.wait_for_isr(*where, size=3) == [1, 2, 3]


def test_an_unclean_election_gives_a_leader_and_loses_what_it_did_not_have(server, place):
    """Only on request: until then the partition has no leader."""
    where = (place.topic, place.partition)
    write(server, place, b"on all")
    with broker_of(server, place.leader).peers_proxy.cut_off():
        write(server, place, b"on one", acks="1")
        assert server.wait_for_isr(*where, size=1) == [place.leader]
        broker_of(server, place.leader).kill()
    until(lambda: server.leader(*where) == -1)

    assert server.elect_leader(*where, unclean=True) != place.leader

    write(server, place, b"afterwards")
    assert read(server, place, 2) == [b"on all", b"afterwards"]


def test_a_rolling_restart_never_leaves_a_partition_without_a_leader_for_good(server, place):
    where = (place.topic, place.partition)
    seen = []

    def between(number):
        seen.append((number, server.leader(*where) in (1, 2, 3)))
        write(server, place, b"value")

    server.restart_in_turn(between)

    assert seen == [(1, True), (2, True), (3, True)]
    assert server.wait_for_isr(*where, size=3) == [1, 2, 3]
    assert read(server, place, 3) == [b"value"] * 3


def test_an_election_that_brokers_refuse_is_an_error(server, kafka_prefix):
    with pytest.raises(ServerStateError, match="no leader elected"):
        server.elect_leader(f"{kafka_prefix}unknown")


def test_what_does_not_come_is_an_error_in_time(kafka_prefix, patient_enough):
    with pytest.raises(ServerFailed, match=rf"a leader of {kafka_prefix}t-0: not within 5 s"):
        patient_enough.wait_for_leader(f"{kafka_prefix}t")


@pytest.fixture(scope="module")
def patient_enough(kafka_server_factory, zookeeper_server):
    """Looks at a server that runs, for five seconds."""
    return kafka_server_factory(
        engine="external", bootstrap_servers=zookeeper_server.bootstrap_servers, startup_timeout=5.0
    )
