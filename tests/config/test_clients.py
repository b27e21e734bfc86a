"""The properties that clients are opened with: what is the user's, and what never is."""

import logging

import attrs
import confluent_kafka
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from kafka_persist._config.catalogue import known_properties
from kafka_persist._config.rules import JVM_NAMES, OWNED
from kafka_persist.config import (
    Config,
    EventProducerConfig,
    JournalConfig,
    SnapshotStoreConfig,
    TopicsConfig,
    load_config,
)
from kafka_persist.errors import ConfigError

SECTIONS = {
    "client": lambda properties: JournalConfig(client=properties),
    "producer": lambda properties: JournalConfig(producer=properties),
    "snapshot producer": lambda properties: SnapshotStoreConfig(producer=properties),
    "consumer": lambda properties: JournalConfig(consumer=properties),
    "event producer": lambda properties: EventProducerConfig(properties=properties),
}


def test_a_journal_is_read_as_it_is_and_published_events_as_committed():
    """An open transaction of somebody else must not hold a journal's end back; consumers must not see what is taken back."""
    config = JournalConfig()
    assert config.consumer_properties()["isolation.level"] == "read_uncommitted"
    assert config.event_consumer_properties("group")["isolation.level"] == "read_committed"


def test_guarantees_of_the_writer():
    """The journal's writer waits for all replicas, at once, without an idempotent producer, for a bounded time."""
    properties = JournalConfig(delivery_timeout=2.5, bootstrap_servers="k:1").producer_properties()
    assert properties["bootstrap.servers"] == "k:1"
    assert properties["acks"] == "all"
    assert properties["linger.ms"] == 0
    assert properties["enable.idempotence"] is False
    assert properties["delivery.timeout.ms"] == 2500
    assert properties["allow.auto.create.topics"] is False


def test_guarantees_of_the_reader():
    """The journal's reader commits nothing, fails where offsets are missing, and leaves checksums to the records' own."""
    properties = JournalConfig().consumer_properties()
    assert properties["check.crcs"] is False
    assert properties["auto.offset.reset"] == "error"
    assert properties["enable.auto.commit"] is False
    assert properties["fetch.wait.max.ms"] == 0


def test_readers_of_many_ids_may_wait():
    """Each kind of reader has its own waiting time, unless the user gave one."""
    assert JournalConfig().consumer_properties(fetch_wait_ms=20)["fetch.wait.max.ms"] == 20
    given = JournalConfig(consumer={"fetch.wait.max.ms": 3})
    assert given.consumer_properties(fetch_wait_ms=20)["fetch.wait.max.ms"] == 3


def test_the_record_limit_reaches_client_and_topic():
    """A larger record limit is told to the client and, where Kafka's default is too small, to new topics."""
    large = JournalConfig(max_record_bytes=5_000_000)
    assert large.producer_properties()["message.max.bytes"] > 5_000_000
    assert int(large.topic_settings()["max.message.bytes"]) > 5_000_000
    assert "max.message.bytes" not in JournalConfig().topic_settings()


def test_the_queue_has_room_for_all_waiting_writes():
    """The client's own queue is never the limit: the library's is."""
    properties = JournalConfig(max_waiting_writes=500_000).producer_properties()
    assert properties["queue.buffering.max.messages"] >= 500_000


@pytest.mark.parametrize(
    ("mode", "acks", "idempotent"),
    [("at-least-once", "all", True), ("exactly-once", "all", True), ("fire-and-forget", 0, False)],
)
def test_publishing_modes(mode, acks, idempotent):
    """The mode decides how safely events are published; the partitioner is that of Java producers."""
    properties = JournalConfig(event_producer=EventProducerConfig(mode=mode)).event_producer_properties()
    assert (properties["acks"], properties["enable.idempotence"]) == (acks, idempotent)
    assert properties["partitioner"] == "murmur2_random"


def test_topics_of_both_stores():
    """Journal topics are never compacted, snapshot topics always are; the user's settings are there, too."""
    topics = TopicsConfig(settings={"min.insync.replicas": 2})
    journal, snapshots = JournalConfig(topics=topics), SnapshotStoreConfig(topics=topics)
    assert journal.topic_settings() == {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "segment.index.bytes": "102400",
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": "2",
    }
    assert snapshots.topic_settings() == journal.topic_settings() | {"cleanup.policy": "compact"}


def test_the_users_property_wins_over_the_default():
    """Tuning is the user's, under any of librdkafka's names for it."""
    properties = JournalConfig(producer={"queue.buffering.max.ms": 9}, client={"client.id": "me"}).producer_properties()
    assert properties["queue.buffering.max.ms"] == 9
    assert "linger.ms" not in properties
    assert properties["client.id"] == "me"


def test_the_special_section_wins_over_client():
    """A property of one kind of client goes before the same one for all."""
    config = JournalConfig(client={"socket.timeout.ms": 1000}, consumer={"socket.timeout.ms": 2000})
    assert config.consumer_properties()["socket.timeout.ms"] == 2000
    assert config.producer_properties()["socket.timeout.ms"] == 1000


def test_limits_follow_a_small_record_limit():
    """With smaller records the limits that must not be larger shrink along, unless given."""
    assert JournalConfig(max_record_bytes=100_000).max_event_bytes == 100_000
    assert SnapshotStoreConfig(max_record_bytes=100_000).chunk_bytes == 90_000


@pytest.mark.parametrize("kind", OWNED)
def test_what_guarantees_rest_on_is_refused(kind):
    """Every property that the library sets itself is refused with a reason, under each of its names."""
    for known in known_properties().values():
        if known.meaning in OWNED[kind]:
            with pytest.raises(ConfigError, match=r"\['[a-z._]+'\] (is|has|follows) "):
                SECTIONS[kind]({known.name: "x"})


@pytest.mark.parametrize("kind", SECTIONS)
@pytest.mark.parametrize("name", JVM_NAMES)
def test_names_of_java_clients_are_refused(kind, name):
    """Properties that only Java clients have are refused, with librdkafka's name where there is one."""
    with pytest.raises(ConfigError, match=r"has no meaning here: |is called |belongs into "):
        SECTIONS[kind]({name: "x"})


WRONG = [
    ("producer", {"lingr.ms": 1}, "'lingr.ms'] is not a property of librdkafka; did you mean linger.ms?"),
    ("producer", {"xyz": 1}, "'xyz'] is not a property of librdkafka"),
    ("producer", {"fetch.min.bytes": 1}, "is a property of consumers; move it to the section consumer"),
    ("consumer", {"linger.ms": 1}, "is a property of producers; move it to the section producer"),
    ("client", {"linger.ms": 1}, "is a property of producers; move it to the section producer"),
    ("producer", {"linger.ms": 1, "queue.buffering.max.ms": 1}, "is the same property as linger.ms"),
    ("producer", {"acks": "all", "request.required.acks": -1}, "is the same property as"),
    ("producer", {"dr_msg_cb": print}, "can only be set by a program"),
    ("producer", {"linger.ms": [1]}, "must be text, a number, true or false, not [1]"),
    ("producer", {"linger.ms": None}, "must be text, a number, true or false, not None"),
    ("client", {"oauth_cb": "x"}, "must be a callable, given in code"),
    ("producer", {7: "x"}, "is not text"),
    ("client", "sasl.mechanism=PLAIN", "must be a mapping of properties, not str"),
]


@pytest.mark.parametrize(("kind", "properties", "message"), WRONG)
def test_wrong_properties(kind, properties, message):
    """A property that cannot work is refused by name, with a suggestion."""
    with pytest.raises(ConfigError) as caught:
        SECTIONS[kind](properties)
    assert message in str(caught.value)


UNSAFE = [
    ({"producer": {"acks": 1}}, "lost when the leader dies"),
    ({"producer": {"request.required.acks": "0"}}, "every write may be lost"),
    ({"client": {"enable.ssl.certificate.verification": False}}, "anybody can pose as the broker"),
    ({"consumer": {"ssl.endpoint.identification.algorithm": "none"}}, "can pose as the broker"),
    ({"topics": TopicsConfig(settings={"unclean.leader.election.enable": True})}, "a leader that missed writes"),
    (
        {"event_producer": EventProducerConfig(properties={"enable.ssl.certificate.verification": "False"})},
        "anybody can pose as the broker",
    ),
]


@pytest.mark.parametrize(("fields", "loss"), UNSAFE)
def test_unsafe_settings_need_consent(fields, loss):
    """What loses data or the broker's identity is refused with what is lost, and allowed with allow_unsafe."""
    with pytest.raises(ConfigError, match=loss):
        JournalConfig(**fields)
    JournalConfig(**fields, allow_unsafe=True)


def test_unknown_acks_are_refused():
    """An acks value that is none is refused before a client sees it."""
    with pytest.raises(ConfigError, match=r"must be all .*, not 'most'"):
        JournalConfig(producer={"acks": "most"})


@pytest.mark.parametrize("acks", ["all", "ALL", -1, "-1"])
def test_all_spellings_of_acks_all(acks):
    """Every spelling of "all" is safe."""
    assert JournalConfig(producer={"request.required.acks": acks}).producer["request.required.acks"] == acks


@pytest.mark.parametrize("mode", ["at-least-once", "exactly-once"])
def test_publishing_safely_needs_all_acks(mode):
    """A mode that promises something does not go with acks that lose it; the message names the mode that does."""
    with pytest.raises(ConfigError, match="fire-and-forget"):
        EventProducerConfig(mode=mode, properties={"acks": 1})
    fire = EventProducerConfig(mode="fire-and-forget", properties={"acks": 1})
    assert JournalConfig(event_producer=fire).event_producer_properties()["acks"] == 1


def test_snapshot_store_joins_the_journals_brokers():
    """Without brokers of its own the snapshot store takes the journal's and its security; own properties go before."""
    config = Config(
        journal=JournalConfig(bootstrap_servers="k:1", client={"security.protocol": "ssl", "client.id": "a"}),
        snapshot_store=SnapshotStoreConfig(client={"client.id": "b"}),
    )
    properties = config.snapshot_store.producer_properties()
    assert properties["bootstrap.servers"] == "k:1"
    assert properties["security.protocol"] == "ssl"
    assert properties["client.id"] == "b"


def test_credentials_go_to_no_other_brokers():
    """A snapshot store with brokers of its own does not take the journal's credentials."""
    config = Config(
        journal=JournalConfig(client={"sasl.password": "canary"}),
        snapshot_store=SnapshotStoreConfig(bootstrap_servers="other:1"),
    )
    assert "sasl.password" not in config.snapshot_store.client_properties()


def test_evolve_joins_anew():
    """A changed copy of the configuration has the new journal's brokers for its snapshots, too."""
    config = attrs.evolve(Config(), journal=JournalConfig(bootstrap_servers="k:1"))
    assert config.snapshot_store.bootstrap_servers == "k:1"


def test_stores_need_their_own_kind():
    """A configuration of another class in a store's place is refused."""
    with pytest.raises(ConfigError, match="must be a JournalConfig"):
        Config(journal=SnapshotStoreConfig())


def test_the_client_takes_everything_without_a_word(caplog):
    """librdkafka accepts what the configuration makes of its defaults, and warns of nothing."""
    config = Config(journal=JournalConfig(bootstrap_servers="127.0.0.1:1"))
    logger = logging.getLogger("librdkafka")
    with caplog.at_level(logging.DEBUG, "librdkafka"):
        for store in (config.journal, config.snapshot_store):
            opened = [
                Producer(store.producer_properties(), logger=logger),
                Consumer(store.consumer_properties(), logger=logger),
                AdminClient(store.client_properties(), logger=logger),
            ]
            for client in opened:
                client.poll(0)
        for mode in ("at-least-once", "exactly-once", "fire-and-forget"):
            journal = attrs.evolve(config.journal, delivery_timeout=90, event_producer=EventProducerConfig(mode=mode))
            transactional = {"transactional.id": "x"} if mode == "exactly-once" else {}
            Producer({**journal.event_producer_properties(), **transactional}, logger=logger).poll(0)
        opened[1].close()
    assert [record.getMessage() for record in caplog.records if "CONFWARN" in record.getMessage()] == []


@pytest.mark.skipif(confluent_kafka.libversion()[1] < 0x02100000, reason="the list is that of librdkafka 2.16")
def test_every_listed_property_is_real():
    """librdkafka knows every property in our list: in each probe it complains of the other, unknown one."""
    clients = {"P": Producer, "C": Consumer, "*": Producer}
    for known in known_properties().values():
        if known.scope != "-" and known.name != "delivery.report.only.error":  # the client takes that one itself
            with pytest.raises(confluent_kafka.KafkaException) as caught:
                clients[known.scope]({"group.id": "x", known.name: "0", "unknown.property": "0"})
            assert f'No such configuration property: "{known.name}"' not in str(caught.value)


def test_unsafe_security_is_not_inherited_in_silence(tmp_path):
    """A snapshot store that would take the journal's unverified TLS needs its own consent; the error names the key."""
    path = tmp_path / "bank.toml"
    path.write_text("[kafka-journal]\nallow-unsafe = true\nclient.enable.ssl.certificate.verification = false")
    with pytest.raises(ConfigError, match=r"kafka-snapshot-store\.client\.enable\.ssl.* without allow-unsafe = true"):
        load_config(path, environ={})
    path.write_text(path.read_text() + "\n[kafka-snapshot-store]\nallow-unsafe = true")
    assert load_config(path, environ={}).snapshot_store.client["enable.ssl.certificate.verification"] is False


def test_topic_settings_must_be_a_mapping():
    """Settings of topics that are no mapping are refused."""
    with pytest.raises(ConfigError, match="must be a mapping of topic settings, not str"):
        TopicsConfig(settings="min.insync.replicas=2")


def test_a_callback_for_tokens_may_be_given_in_code():
    """`oauth_cb`, which only code can give, reaches every client."""
    config = JournalConfig(client={"oauth_cb": print})
    assert config.producer_properties()["oauth_cb"] is print


def test_stores_name_their_topics():
    """A store's configuration names the topic of an id with its own prefix and naming."""
    assert JournalConfig(prefix="t-", naming="seed").topic_name("a/b") == "t-a_b"
    assert SnapshotStoreConfig(prefix="s-").topic_name("a") == "s-a"


def test_test_server_settings_may_be_nested():
    """In code, too, settings of the test server may be nested; unknown ones are refused."""
    assert Config(test_server={"kafka": {"port": 1}}).test_server["kafka.port"] == 1
    with pytest.raises(ConfigError, match=r"'zookeeper\.prot'\] is not a setting .* did you mean zookeeper\.port"):
        Config(test_server={"zookeeper": {"prot": 1}})


def test_configurations_can_be_compared_and_hashed():
    """Equal configurations are equal, also as keys."""
    one, other = (Config(journal=JournalConfig(producer={"linger.ms": 1})) for _ in "ab")
    assert {one: 1}[other] == 1
    assert one != Config()
