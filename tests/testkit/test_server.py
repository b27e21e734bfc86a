"""A running server: reachable, private, and as the settings say. Both modes, real brokers."""

from __future__ import annotations

import re
import socket
import stat
import uuid
from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from kafka_persist_testkit import Mode, ServerStateError, TestServer, TestServerSettings, _zookeeper_wire
from kafka_persist_testkit._engines import jars
from kafka_persist_testkit._probe import open_probe

pytestmark = pytest.mark.broker


@pytest.fixture
def topic():
    return f"topic-{uuid.uuid4().hex[:8]}"


def write(server, topic, value):
    with Producer(server.client_config()) as producer:
        producer.produce(topic, value=value)
        assert producer.flush(30) == 0


def read_one(server, topic):
    config = {"group.id": "g", "auto.offset.reset": "earliest"}
    with Consumer({**server.client_config(), **config}) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        return consumer.poll(30).value()


def listening(pid):
    """The addresses on which a process listens, from the kernel's tables."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if match := re.match(r"socket:\[(\d+)\]", str(link.readlink())):
                inodes.add(int(match[1]))
    found = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[9]) in inodes:
                host, port = fields[1].split(":")
                words = bytes.fromhex(host)
                packed = b"".join(words[start : start + 4][::-1] for start in range(0, len(words), 4))
                found.add((socket.inet_ntop(family, packed), int(port, 16)))
    return found


def test_what_is_written_is_read(any_server, topic):
    any_server.create_topics(topic)

    write(any_server, topic, b"value")

    assert read_one(any_server, topic) == b"value"


def test_the_versions_are_the_pinned_ones(zookeeper_server, kraft_server):
    assert (zookeeper_server.kafka_version, kraft_server.kafka_version) == ("3.9.1", "4.1.0")
    assert "Kafka version: 3.9.1" in "\n".join(zookeeper_server.logs(1000))
    assert "Kafka version: 4.1.0" in "\n".join(kraft_server.logs(1000))


def test_the_broker_is_registered_with_the_zookeeper_that_is_named(zookeeper_server):
    host, port = zookeeper_server.zookeeper_connect.split(":")

    assert host == "127.0.0.1"
    assert _zookeeper_wire.is_registered(int(port), zookeeper_server.broker.broker_id)


def test_there_is_no_zookeeper_in_kraft_mode(kraft_server):
    assert kraft_server.zookeeper_connect is None
    with pytest.raises(ServerStateError, match="no ZooKeeper to control"):
        kraft_server.zookeeper.kill()


def test_only_the_loopback_address_is_listened_on(zookeeper_server, kraft_server):
    sockets = [
        listening(zookeeper_server.broker.pid),
        listening(zookeeper_server.zookeeper.pid),
        listening(kraft_server.broker.pid),
    ]

    assert [len(found) for found in sockets] == [1, 1, 2]  # a KRaft broker is a controller, too
    assert {host for found in sockets for host, _ in found} == {"127.0.0.1"}
    assert ("127.0.0.1", zookeeper_server.broker.port) in sockets[0]


def test_the_directories_are_for_this_user_only(any_server):
    for directory in (any_server.data_dir, any_server.broker.config_path.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_topics_do_not_come_into_being_by_a_typing_error(any_server, topic):
    config = {**any_server.client_config(), "group.id": "g", "allow.auto.create.topics": True}
    with Consumer(config) as consumer:
        consumer.list_topics(topic, timeout=30)

    with open_probe(any_server.bootstrap_servers) as probe:
        assert probe.partitions(topic) == 0


def test_topics_are_created_as_asked_for(any_server):
    names = [f"made-{uuid.uuid4().hex[:8]}" for _ in range(3)]

    any_server.create_topics(*names, partitions=3, config={"cleanup.policy": "compact"})

    with open_probe(any_server.bootstrap_servers) as probe:
        assert [probe.partitions(name) for name in names] == [3, 3, 3]
    with pytest.raises(ServerStateError, match=f"topic {names[0]} cannot be created: .*already exists"):
        any_server.create_topics(names[0])


def test_the_settings_and_any_property_reach_the_broker():
    settings = TestServerSettings(broker_id=7, num_partitions=3, log_cleanup_policy="compact")
    server = TestServer(settings=settings, properties={"message.max.bytes": 2_000_000}, topics=["first"])
    with server, open_probe(server.bootstrap_servers) as probe:
        config = probe.broker_config(7)
        assert probe.partitions("first") == 1

    names = ["num.partitions", "log.cleanup.policy", "message.max.bytes", "log.index.size.max.bytes"]
    assert [config[name] for name in names] == ["3", "compact", "2000000", "65536"]


def test_kafka_home_wins(monkeypatch, tmp_path):
    """An installation is a directory with the jars in `libs`."""
    (tmp_path / "libs").mkdir()
    for jar in jars.classpath("4.1.0"):
        (tmp_path / "libs" / jar.name).symlink_to(jar)
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))

    with TestServer("kraft", topics=["t"]) as server:
        command = Path(f"/proc/{server.broker.pid}/cmdline").read_text()

    assert f"{tmp_path}/libs/kafka_2.13-4.1.0.jar" in command
    assert server.mode == "kraft"


def test_a_second_start_is_refused(zookeeper_server):
    with pytest.raises(ServerStateError, match="started already"):
        zookeeper_server.start()


def test_the_repr_shows_what_is_up(zookeeper_server):
    address = zookeeper_server.bootstrap_servers

    assert repr(zookeeper_server) == f"<TestServer zookeeper java up at {address}>"
    assert repr(zookeeper_server.broker) == f"<Broker broker-1 port={zookeeper_server.broker.port} running>"


def test_client_config_is_all_that_a_client_needs(any_server):
    assert any_server.client_config() == {"bootstrap.servers": any_server.bootstrap_servers}


def test_the_mode_is_told(zookeeper_server, kraft_server):
    assert (zookeeper_server.mode, kraft_server.mode) == (Mode.ZOOKEEPER, Mode.KRAFT)


def test_what_was_never_started_can_be_stopped_but_not_used():
    server = TestServer()

    server.stop()

    assert repr(server) == "<TestServer zookeeper down>"
    with pytest.raises(ServerStateError, match="not started"):
        _ = server.bootstrap_servers
