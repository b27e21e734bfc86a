"""Faults on purpose: what the proxy does to bytes, without Kafka, and to a Kafka client in front of a real broker."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from kafka_persist_testkit import InvalidSettings, ServerStateError, TcpProxy, TestServer
from kafka_persist_testkit._fault_words import apply

QUIET = logging.getLogger("kafka-clients")
PATIENCE = 30.0


class Echo:
    """A server that sends back what it gets, and remembers it."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.received = bytearray()
        self.changed = threading.Condition()
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self.serve, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def serve(self, connection):
        with connection:
            while True:
                try:
                    data = connection.recv(65536)
                    if not data:
                        return
                    with self.changed:
                        self.received += data
                        self.changed.notify_all()
                    connection.sendall(data)
                except OSError:
                    return

    def wait_received(self, data):
        with self.changed:
            assert self.changed.wait_for(lambda: bytes(self.received) == data, PATIENCE), self.received

    def close(self):
        if self.listener.fileno() < 0:
            return
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept, which closing does not
        self.listener.close()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def echo():
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo):
    with TcpProxy(echo.port) as one:
        yield one


@pytest.fixture
def connect(proxy):
    """A function that connects through the proxy."""
    opened = []

    def open_one():
        one = socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE)
        opened.append(one)
        return one

    yield open_one
    for one in opened:
        one.close()


def ask(connection, data):
    connection.sendall(data)
    return exactly(connection, len(data))


def exactly(connection, count):
    found = b""
    while len(found) < count:
        data = connection.recv(count - len(found))
        assert data, found
        found += data
    return found


def is_silent(connection, seconds=0.1):
    """Whether nothing comes for a while; the test goes on with something that does come, so this cannot pass by accident."""
    connection.settimeout(seconds)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(PATIENCE)
    return False


def test_without_faults_everything_comes_through(connect):
    """Also much more than the proxy keeps at a time."""
    data = bytes(range(256)) * 40_000
    connection = connect()
    sender = threading.Thread(target=connection.sendall, args=(data,))
    sender.start()
    assert exactly(connection, len(data)) == data
    sender.join()


def test_latency_and_jitter_make_everything_late_and_keep_its_order(connect, proxy):
    connection = connect()
    proxy.latency, proxy.jitter = 0.05, 0.05
    before = time.monotonic()
    connection.sendall(b"a")
    connection.sendall(b"b")
    assert exactly(connection, 2) == b"ab"
    assert time.monotonic() - before >= 0.1, "0.05 s there and 0.05 s back, at least"


def test_bandwidth_is_a_limit(connect, proxy):
    connection = connect()
    proxy.bandwidth = 100_000
    before = time.monotonic()
    ask(connection, bytes(20_000))
    assert time.monotonic() - before >= 0.2


def test_a_connection_is_cut_after_exactly_so_many_bytes(connect, proxy, echo):
    connection = connect()
    proxy.cut_after = 5
    connection.sendall(b"123")
    assert exactly(connection, 3) == b"123"
    connection.sendall(b"45678")
    echo.wait_received(b"12345")
    assert connection.recv(100) in (b"45", b"")
    assert (proxy.cuts, proxy.cut_after) == (1, None)
    assert ask(connect(), b"again") == b"again"


def test_a_one_way_cut_loses_answers_of_connections_that_are_open(connect, proxy, echo):
    connection = connect()
    assert ask(connection, b"1") == b"1"
    proxy.deafen()
    connection.sendall(b"2")
    echo.wait_received(b"12")
    assert is_silent(connection)
    assert ask(connect(), b"3") == b"3"
    proxy.heal()
    assert ask(connection, b"4") == b"4"


def test_a_black_hole_swallows_in_both_directions(connect, proxy, echo):
    connection = connect()
    proxy.black_hole = True
    connection.sendall(b"lost")
    assert is_silent(connection)
    proxy.heal()
    assert ask(connection, b"found") == b"found"
    echo.wait_received(b"found")


def test_what_is_held_arrives_late_although_its_client_has_gone(connect, proxy, echo):
    connection = connect()
    proxy.hold()
    connection.sendall(b"late")
    connection.close()
    proxy.admit()
    assert ask(connect(), b"in time") == b"in time"
    proxy.release()
    echo.wait_received(b"in timelate")


def test_a_reset_breaks_both_sides(connect, proxy):
    connection = connect()
    assert ask(connection, b"1") == b"1"
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        connection.recv(1)
    assert proxy.connections == 0


def test_cut_off_is_a_broker_that_is_down(connect, proxy):
    connection = connect()
    assert ask(connection, b"1") == b"1"
    with proxy.cut_off():
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        with pytest.raises(ConnectionResetError):
            connect().recv(1)
    assert ask(connect(), b"2") == b"2"


def test_bits_flip_where_they_are_told_to(connect, proxy):
    connection = connect()
    proxy.flip = b"payload"
    answer = ask(connection, b"head payload tail")
    assert (answer[:5], answer[-5:]) == (b"head ", b" tail")
    assert sum((one ^ other).bit_count() for one, other in zip(answer, b"head payload tail", strict=True)) == 1
    assert proxy.flips == 1


def test_a_broker_that_is_down_resets(proxy, echo, connect):
    echo.close()
    with pytest.raises(ConnectionResetError):
        connect().recv(1)


def test_the_repr_shows_what_is_wrong(proxy):
    proxy.latency = 0.5
    assert "latency=0.5" in repr(proxy)


def test_an_impossible_cut_is_refused(proxy):
    with pytest.raises(ValueError, match="at least 1"):
        proxy.cut_after = 0


def test_closing_twice_and_faults_afterwards_do_no_harm(echo):
    proxy = TcpProxy(echo.port)
    proxy.close()
    proxy.close()
    proxy.reset()


@pytest.fixture(scope="module")
def behind_a_proxy():
    with TestServer(proxies=True, topics=["t"]) as server:
        yield server


@pytest.fixture
def server(behind_a_proxy):
    yield behind_a_proxy
    behind_a_proxy.broker.proxy.heal()


@pytest.mark.broker
def test_clients_reach_a_broker_through_its_proxy_only(server):
    """The address that the broker tells its clients is the proxy's, too."""
    proxy = server.broker.proxy
    with AdminClient(server.client_config(), logger=QUIET) as client:
        (broker,) = client.list_topics(timeout=PATIENCE).brokers.values()
    assert (broker.port, server.bootstrap_servers) == (proxy.port, f"127.0.0.1:{proxy.port}")


@pytest.mark.broker
def test_a_cut_off_broker_is_out_of_its_clients_reach_but_not_of_the_test_servers(server):
    with server.broker.proxy.cut_off():
        with AdminClient(server.client_config(), logger=QUIET) as client, pytest.raises(KafkaException):
            client.list_topics(timeout=0.5)
        assert server.leader("t") == 1
    with Producer(server.client_config(), logger=QUIET) as producer:
        producer.produce("t", b"value")
        assert producer.flush(PATIENCE) == 0


@pytest.mark.broker
def test_a_killed_broker_comes_back_behind_the_same_proxy(server):
    server.broker.kill()
    server.broker.start()
    with Producer(server.client_config(), logger=QUIET) as producer:
        producer.produce("t", b"value")
        assert producer.flush(PATIENCE) == 0


@pytest.mark.broker
def test_a_broker_without_a_proxy_says_how_to_get_one(zookeeper_server, server):
    with pytest.raises(ServerStateError, match=r"broker-1 has no such proxy: TestServer\(proxies=True\) does"):
        _ = zookeeper_server.broker.proxy
    with pytest.raises(ServerStateError, match="brokers="):
        _ = server.broker.peers_proxy


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("latency 0.2", "latency", 0.2),
        ("jitter 0", "jitter", 0.0),
        ("bandwidth 1e6", "bandwidth", 1e6),
        ("cut-after 100", "cut_after", 100),
        ("flip some text", "flip", b"some text"),
        ("deaf on", "deaf", True),
        ("black-hole on", "black_hole", True),
        ("refuse on", "refuse", True),
    ],
)
def test_each_fault_has_words_and_heal_takes_it_back(proxy, line, name, value):
    sound = getattr(proxy, name)
    apply(line, {"broker-1": proxy})
    assert getattr(proxy, name) == value
    apply("heal", {"broker-1": proxy})
    assert getattr(proxy, name) == sound


def test_words_may_name_one_of_several_proxies(proxy, echo):
    with TcpProxy(echo.port) as other:
        proxies = {"broker-1": proxy, "broker-2": other}
        assert "latency=0.5" in apply("broker-2 latency 0.5", proxies)
        assert (proxy.latency, other.latency) == (0.0, 0.5)
        assert len(apply("show", proxies).splitlines()) == len(apply("", proxies).splitlines()) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("latnecy 1", "unknown fault 'latnecy'; there are latency, "),
        ("latency", "latency cannot be 'without a value'"),
        ("latency -1", "latency cannot be '-1'"),
        ("bandwidth 0", "bandwidth cannot be '0'"),
        ("cut-after 0", "cut-after cannot be '0'"),
        ("deaf perhaps", "deaf cannot be 'perhaps'"),
        ("flip", "flip cannot be"),
        ("reset now", "reset takes no value"),
    ],
)
def test_words_that_say_nothing_are_refused(proxy, line, message):
    with pytest.raises(InvalidSettings, match=message):
        apply(line, {"broker-1": proxy})


def test_the_command_proxy_does_what_is_typed_in(echo):
    command = [sys.executable, "-m", "kafka_persist_testkit", "proxy", str(echo.port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        port = int(child.stdout.readline().split()[0].rpartition(":")[2])
        while child.stdout.readline() != "Ctrl-C stops it.\n":
            pass
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            assert ask(connection, b"1") == b"1"
            child.stdin.write("reset\nnonsense\n")
            child.stdin.flush()
            assert child.stdout.readline().startswith("<TcpProxy")
            assert child.stdout.readline().startswith("error: unknown fault 'nonsense'")
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
        child.send_signal(signal.SIGTERM)
        child.stdin.close()
        assert child.wait(PATIENCE) == 0


@pytest.mark.broker
@pytest.mark.testkit
def test_a_broker_on_a_full_disk_gives_up_and_comes_back_when_there_is_room():
    """What was acknowledged before is there."""
    with TestServer(topics=["t"], startup_timeout=180.0) as server:
        assert write(server, b"before") == [None]
        server.broker.fill_disk()
        producer = Producer(server.client_config(), logger=QUIET)
        producer.produce("t", b"lost", partition=0)
        producer.flush(1)
        assert server.broker.wait_exit(120)
        producer.purge()
        producer.poll(0)
        producer.close()
        with pytest.raises(ServerStateError, match="broker-1 does not run"):
            server.broker.fill_disk()

        server.broker.start()

        assert write(server, b"afterwards") == [None]
        with Consumer(
            {**server.client_config(), "group.id": "g", "enable.auto.commit": False}, logger=QUIET
        ) as consumer:
            consumer.assign([TopicPartition("t", 0, 0)])
            found = [consumer.poll(PATIENCE).value() for _ in range(2)]
        assert found in ([b"before", b"afterwards"], [b"before", b"lost"]), "a write without an answer may be there"


def write(server, value):
    """Write one record; the error in its delivery report."""
    reports = []
    with Producer(server.client_config(), logger=QUIET) as producer:
        producer.produce("t", value, partition=0, on_delivery=lambda error, _: reports.append(error))
        producer.flush(120)
    return reports
