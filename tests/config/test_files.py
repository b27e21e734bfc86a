"""Reading a file: spellings, and errors that name file and key."""

import pytest

from kafka_persist.config import (
    Config,
    EventProducerConfig,
    JournalConfig,
    SnapshotStoreConfig,
    TopicsConfig,
    ZookeeperConfig,
    load_config,
)
from kafka_persist.errors import ConfigError


@pytest.fixture
def load(tmp_path):
    def load(text, **environ):
        path = tmp_path / "bank.toml"
        path.write_text(text)
        return load_config(path, environ=environ)

    return load


@pytest.mark.parametrize(
    "text",
    [
        "[kafka-journal.producer]\nlinger.ms = 7",
        '[kafka-journal.producer]\n"linger.ms" = 7',
        "[kafka-journal]\nproducer.linger.ms = 7",
        "kafka-journal.producer.linger.ms = 7",
        "[kafka-journal.producer.linger]\nms = 7",
        "kafka-journal = { producer = { linger = { ms = 7 } } }",
    ],
)
def test_spellings(load, text):
    """A key is its dotted path, however TOML spells it."""
    assert load(text).journal.producer["linger.ms"] == 7


def test_every_kind_of_field(load):
    """Text, numbers, flags, durations, sections and open sections reach the fields they belong to."""
    config = load("""
        [kafka-journal]
        bootstrap.servers = ["one:1", "two:2"]
        write-concurrency = 3
        connect-timeout = 2
        naming = "seed"
        topics = { partitions = 4, settings = { min.insync.replicas = 2 }, create = false }
        event.producer = { topic.mapper.class = "shop.topics:Mapper", mode = "exactly-once", compression.type = "lz4" }
        zookeeper = { connect = "zk:2181/kafka", session.timeout.ms = 1500 }
        [kafka-snapshot-store]
        keep = 9
        ignore-orphan = false
        [test-server]
        kafka = { port = 6667, auto.create.topics.enable = false }
    """)
    assert config.journal == JournalConfig(
        bootstrap_servers="one:1,two:2",
        write_concurrency=3,
        connect_timeout=2.0,
        naming="seed",
        topics=TopicsConfig(partitions=4, settings={"min.insync.replicas": "2"}, create=False),
        event_producer=EventProducerConfig(
            topic_mapper_class="shop.topics:Mapper", mode="exactly-once", properties={"compression.type": "lz4"}
        ),
        zookeeper=ZookeeperConfig(connect="zk:2181/kafka", session_timeout=1.5),
    )
    assert config.snapshot_store == SnapshotStoreConfig(bootstrap_servers="one:1,two:2", keep=9, ignore_orphan=False)
    assert config.test_server["kafka.port"] == 6667
    assert config.test_server["kafka.auto.create.topics.enable"] is False


def test_journal_learns_the_prefix_of_snapshots(load):
    """The journal knows the prefix of snapshot topics, so that none of its own begins with it."""
    config = load('kafka-snapshot-store.prefix = "snap-"')
    assert config.journal.topic_name("snap-x").startswith("id-snap-x.")
    assert config.journal.topic_name("snapshot-x") == "snapshot-x"


def test_empty_sections_are_fine(load):
    """A section without keys changes nothing."""
    assert (
        load("[kafka-journal]\n[kafka-journal.producer]\n[kafka-snapshot-store.topics.settings]\n[test-server]")
        == Config()
    )


WRONG = {
    "kafka-journal.replay-buffer-events = 1": "has no meaning any more: replay-batch-bytes bounds",
    "kafka-journal.partition = -1": "kafka-journal.partition must be at least 0, not -1",
    "kafka-journal.partition = 1": "kafka-journal.partition must be below topics.partitions (1), not 1",
    "kafka-journal.partition = true": "kafka-journal.partition must be a whole number, not True",
    "kafka-journal.partition = 0.5": "kafka-journal.partition must be a whole number, not 0.5",
    "kafka-journal.readers = 65": "kafka-journal.readers must be at most 64, not 65",
    "kafka-journal.readers = [1]": "kafka-journal.readers must be a whole number, not [1]",
    "kafka-journal.connect-timeout = '5'": "kafka-journal.connect-timeout must be a number of seconds, not '5'",
    "kafka-journal.connect-timeout = inf": "kafka-journal.connect-timeout must be from 0.1 to 3600 seconds, not inf",
    "kafka-journal.connect-timeout = nan": "kafka-journal.connect-timeout must be a number of seconds, not nan",
    "kafka-journal.naming = 'x'": "kafka-journal.naming must be one of 'hashed', 'seed', not 'x'",
    "kafka-journal.allow-unsafe = 1": "kafka-journal.allow-unsafe must be true or false, not 1",
    "kafka-journal.bootstrap.servers = ''": "kafka-journal.bootstrap.servers must name at least one broker",
    "kafka-journal.bootstrap.servers = 'a:1,'": "kafka-journal.bootstrap.servers must name at least one broker",
    "kafka-journal.bootstrap.servers = []": "kafka-journal.bootstrap.servers must name at least one broker",
    "kafka-journal.bootstrap.servers = 1": "kafka-journal.bootstrap.servers must be host:port[,host:port...], not 1",
    "kafka-journal.prefix = 'ä'": "kafka-journal.prefix must consist of ASCII letters",
    "kafka-journal.prefix = 'snapshot-t'": "kafka-journal.prefix must not begin with the prefix of snapshot topics",
    "kafka-journal.max-event-bytes = 2000000": "kafka-journal.max-event-bytes must be at most max-record-bytes (1000000)",
    "kafka-journal.topics.replication-factor = 0": "kafka-journal.topics.replication-factor must be at least 1, or -1",
    "kafka-journal.topics.settings.retention.ms = 1": "topics.settings.retention.ms has a key of its own, retention-ms",
    "kafka-journal.topics.settings.cleanup.policy = 'compact'": "settings.cleanup.policy is set by the library: delete",
    "kafka-journal.topics.settings.min.insync.replica = 2": "did you mean min.insync.replicas?",
    "kafka-journal.topics.settings.segment.ms = [1]": "segment.ms must be text, a number, true or false, not",
    "kafka-journal.zookeeper.connect = 1": "kafka-journal.zookeeper.connect must be host:port",
    "kafka-journal.zookeeper.session.timeout.ms = 1": "session.timeout.ms must be from 0.1 to 3600 seconds, not 0.001",
    "kafka-journal.event.producer.mode = 'x'": "kafka-journal.event.producer.mode must be one of",
    "kafka-journal.event.producer.topic.mapper.class = 'Mapper'": 'must be a Python class, "package.module:ClassName"',
    "kafka-journal.event.producer.topic.mapper.class = 'akka.persistence.kafka.EmptyEventTopicMapper'": (
        "that one is kafka_persist.publishing:EmptyEventTopicMapper here"
    ),
    "kafka-snapshot-store.prefix = ''": "kafka-snapshot-store.prefix must not be empty",
    "kafka-snapshot-store.chunk-bytes = 2000000": "kafka-snapshot-store.chunk-bytes must be at most max-record-bytes",
    "kafka-snapshot-store.on-unreadable = 'none'": "kafka-snapshot-store.on-unreadable must be one of 'fail', 'older'",
    "kafka-snapshot-store.write-concurrency = 2": "is not a key here, but kafka-journal.write-concurrency is",
    "kafka-journal.write_concurrency = 2": "is not a key; did you mean kafka-journal.write-concurrency?",
    "kafka-journal.Partition = 0": "is not a key; did you mean kafka-journal.partition?",
    "kafka-journal.snapshot-prefix = 'x-'": "kafka-journal.snapshot-prefix is not a key",
    "kafka_journal.partition = 0": "is not a key; did you mean kafka-journal.partition?",
    "[kafka-journl]": "kafka-journl is not a key; did you mean kafka-journal?",
    "kafka-journal = 1": "kafka-journal is a section, not a key",
    "kafka-journal.producer = 'x'": "kafka-journal.producer is a section, not a key",
    "[[kafka-journal]]\npartition = 0": "kafka-journal is a section, not a key",
    "kafka-journal.linger.ms = 1": "is a property of librdkafka; move it to the section kafka-journal.producer",
    "kafka-journal.fetch.min.bytes = 1": "is a property of librdkafka; move it to the section kafka-journal.consumer",
    "kafka-journal.sasl.mechanism = 'PLAIN'": "is a property of librdkafka; move it to the section kafka-journal.client",
    "xyz = 1": "xyz is not a key",
    "test-server.zookeper.port = 1": "did you mean zookeeper.port? (broker properties begin with kafka.)",
    "kafka-journal.producer.'linger.ms' = 1\nkafka-journal.producer.linger.ms = 2": "linger.ms' is given twice",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_errors_name_file_key_and_bound(load, tmp_path, text, message):
    """What is wrong in a file is one error, with the file, the key's path and what would be right."""
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert str(caught.value).startswith(f"{tmp_path / 'bank.toml'}: ")
    assert message in str(caught.value)


def test_a_key_is_shown_on_one_line(load):
    """Control characters in a key do not get into a log."""
    with pytest.raises(ConfigError) as caught:
        load('"kafka-journal\\n\\u001b[31m" = 1')
    assert str(caught.value).isprintable()


def test_missing_file(tmp_path):
    """A file that is not there is named."""
    with pytest.raises(ConfigError, match=r"cannot read the configuration file .*nowhere\.toml: No such file"):
        load_config(tmp_path / "nowhere.toml", environ={})


def test_not_toml(load):
    """What is not TOML is refused with the place, and without the text."""
    with pytest.raises(ConfigError, match=r"bank\.toml: not TOML: .*line 2") as caught:
        load("[kafka-journal.client]\nsasl.password = canary'")
    assert "canary" not in str(caught.value)


def test_not_utf8(tmp_path):
    """What is not UTF-8 is refused with the place."""
    path = tmp_path / "bank.toml"
    path.write_bytes(b"# \xff")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 2"):
        load_config(path, environ={})
