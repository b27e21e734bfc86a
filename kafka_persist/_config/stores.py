"""The configuration of the journal and of the snapshot store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

import attrs

from kafka_persist.errors import ConfigError, printable
from kafka_persist.naming import (
    DEFAULT_SNAPSHOT_PREFIX,
    Naming,
    check_prefix,
    collision_key,
    snapshot_topic_name,
    topic_name,
)

from .clients import (
    acks_name,
    acks_problem,
    client_section,
    consumer_section,
    merge,
    producer_section,
    properties_of,
    unsafe_tls,
)
from .fields import flag, one_of, seconds, whole, wrong
from .parts import MAX_BYTES, EventProducerConfig, TopicsConfig, ZookeeperConfig
from .secrets import Properties

DEFAULT_BOOTSTRAP_SERVERS: Final = "localhost:9092"
RECORD_OVERHEAD_BYTES: Final = 1024
"""What the client and the protocol put around one record, generously."""

_BROKER_DEFAULT_MAX_MESSAGE_BYTES = 1_048_588
_MAX_RECORD_BYTES = 100_000_000
_MIB = 1024 * 1024


def _servers(value: Any) -> Any:
    """Take a list of servers, too, as TOML has lists."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value


def _are_servers(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str):
        raise wrong(instance, attribute.name, f"must be host:port[,host:port...], not {printable(repr(value))}")
    if value == "" and not attribute.default:
        return
    if not all(server.strip() for server in value.split(",")):
        raise wrong(instance, attribute.name, f"must name at least one broker as host:port, not {printable(value)}")


def _is_prefix(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    try:
        check_prefix(value)
    except ConfigError as error:
        raise wrong(instance, attribute.name, str(error)) from None


@attrs.frozen(kw_only=True)
class StoreConfig:
    """What journal and snapshot store have in common. Durations are seconds, sizes bytes.

    Attributes:
        bootstrap_servers: ``host:port,host:port``.
        partition: the partition that is written to and read from.
        naming: "hashed" (distinct ids have distinct topics) or "seed" (names as the original made them).
        topics: how topics are created.
        settings_policy: what an existing topic gets whose settings would lose data: "refuse" or "warn".
        allow_unsafe: allow ``acks`` other than all, unclean leader election, and TLS without verification.
        connect_timeout: how long to wait for the first answer of a broker.
        delivery_timeout: how long a write may take until its outcome is unknown.
        recovery_stall_timeout: how long reading may make no progress.
        max_waiting_writes: writes handed over and not yet confirmed; further ones wait.
        max_record_bytes: size of the largest record, key included.
        max_concurrent_recoveries: ids that are read at the same time; further ones wait.
        readers: consumers kept ready for single ids.
        client: librdkafka's properties of all clients (``security.protocol``, ``sasl.*``, ``ssl.*``).
        consumer: librdkafka's properties of readers, over `client` and the defaults.
        producer: librdkafka's properties of writers, over `client` and the defaults.
        zookeeper: finding the brokers through ZooKeeper.
    """

    cleanup_policy: ClassVar[str]

    bootstrap_servers: str = attrs.field(default=DEFAULT_BOOTSTRAP_SERVERS, converter=_servers, validator=_are_servers)
    partition: int = attrs.field(default=0, validator=whole(0, 99_999))
    naming: Naming = attrs.field(default="hashed", validator=one_of(("hashed", "seed")))
    topics: TopicsConfig = attrs.field(factory=TopicsConfig, validator=attrs.validators.instance_of(TopicsConfig))
    settings_policy: Literal["refuse", "warn"] = attrs.field(default="refuse", validator=one_of(("refuse", "warn")))
    allow_unsafe: bool = attrs.field(default=False, validator=flag)
    connect_timeout: float = attrs.field(default=10.0, validator=seconds(0.1, 3600))
    delivery_timeout: float = attrs.field(default=30.0, validator=seconds(0.1, 3600))
    recovery_stall_timeout: float = attrs.field(default=30.0, validator=seconds(0.1, 3600))
    max_waiting_writes: int = attrs.field(default=10_000, validator=whole(1, 10_000_000))
    max_record_bytes: int = attrs.field(default=1_000_000, validator=whole(1024, _MAX_RECORD_BYTES))
    max_concurrent_recoveries: int = attrs.field(default=50, validator=whole(1, 100_000))
    readers: int = attrs.field(default=2, validator=whole(1, 64))
    client: Mapping[str, Any] = attrs.field(
        factory=Properties, converter=client_section, validator=properties_of("client")
    )
    consumer: Mapping[str, Any] = attrs.field(
        factory=Properties, converter=consumer_section, validator=properties_of("consumer")
    )
    producer: Mapping[str, Any] = attrs.field(
        factory=Properties, converter=producer_section, validator=properties_of("producer")
    )
    zookeeper: ZookeeperConfig = attrs.field(
        factory=ZookeeperConfig, validator=attrs.validators.instance_of(ZookeeperConfig)
    )

    def __attrs_post_init__(self) -> None:
        if self.partition >= self.topics.partitions and self.topics.create:
            raise wrong(
                self, "partition", f"must be below topics.partitions ({self.topics.partitions}), not {self.partition}"
            )
        if not self.allow_unsafe:
            self._check_safe()

    def _check_safe(self) -> None:
        name = acks_name(self.producer)
        if name and (problem := acks_problem(self.producer[name])):
            raise wrong(self, "producer", problem, key=name)
        for field in ("client", "consumer", "producer"):
            if found := unsafe_tls(getattr(self, field)):
                raise wrong(self, field, found[1], key=found[0])
        if self.topics.settings.get("unclean.leader.election.enable") == "true":
            raise wrong(
                self,
                "topics",
                "must not be true without allow-unsafe = true: a leader that missed writes would lose them",
                key="settings.unclean.leader.election.enable",
            )

    def client_properties(self) -> dict[str, Any]:
        """Return what every client (admin included) is configured with, secrets in clear."""
        return self._properties({}, {})

    def producer_properties(self) -> dict[str, Any]:
        """Return the whole configuration of a writing client, secrets in clear; librdkafka's names.

        The user's properties win over the tuning, never over what the guarantees rest on (those cannot be given).
        No idempotent producer: a repeated record extends a head that is no longer the head, so it does not count.
        """
        owned = {
            "enable.idempotence": False,
            "delivery.report.only.error": False,
            "delivery.timeout.ms": _milliseconds(self.delivery_timeout),
            "queue.buffering.max.messages": max(100_000, 2 * self.max_waiting_writes),
        }
        return self._properties(self.producer, owned)

    def consumer_properties(self, *, fetch_wait_ms: int = 0) -> dict[str, Any]:
        """Return the whole configuration of a reading client, secrets in clear; librdkafka's names.

        Args:
            fetch_wait_ms: how long a broker may hold an empty answer back, unless the user gives
                ``fetch.wait.max.ms``: 0 for readers of single ids (a look-up queues behind a waiting fetch), about 20
                for readers of many ids at once.
        """
        owned = {
            "group.id": "kafka-persist",  # required by the client, never joined: partitions are assigned
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "check.crcs": True,
            "isolation.level": "read_committed",
        }
        return self._properties(merge({"fetch.wait.max.ms": fetch_wait_ms}, self.consumer), owned)

    def topic_settings(self) -> dict[str, str]:
        """Return the settings of a new topic, Kafka's names and texts.

        ``max.message.bytes`` is among them where the broker's default would refuse the largest record.
        """
        needed = self.max_record_bytes + RECORD_OVERHEAD_BYTES
        derived = {"max.message.bytes": str(needed)} if needed > _BROKER_DEFAULT_MAX_MESSAGE_BYTES else {}
        return (
            derived
            | dict(self.topics.settings)
            | {
                "cleanup.policy": self.cleanup_policy,
                "retention.ms": str(self.topics.retention_ms),
                "segment.index.bytes": str(self.topics.segment_index_bytes),
            }
        )

    def _properties(self, given: Mapping[str, Any], owned: Mapping[str, Any]) -> dict[str, Any]:
        connect = max(1000, _milliseconds(self.connect_timeout))  # librdkafka takes no less
        common = {
            "bootstrap.servers": self.bootstrap_servers or DEFAULT_BOOTSTRAP_SERVERS,
            "message.max.bytes": self.max_record_bytes + RECORD_OVERHEAD_BYTES,
            "allow.auto.create.topics": False,
        }
        tuning = {"socket.connection.setup.timeout.ms": connect}
        return Properties(merge(tuning, self.client, given, common, owned)).reveal()


@attrs.frozen(kw_only=True)
class JournalConfig(StoreConfig):
    """The journal.

    Attributes:
        write_concurrency: producer clients, each with a thread of its own. One is enough: several gain nothing
            measurable with the plain producer.
        prefix: put before the name of every journal topic, one per tenant.
        snapshot_prefix: the prefix of the snapshot topics in the same cluster, so that no journal topic begins with it
            (`Config` sets it from the snapshot store's).
        max_event_bytes: size of the largest event, encoded; also the limit for decoding one.
        replay_batch_bytes: how much is read ahead at a time.
        replay_buffer_events: how many decoded events wait for the reader of a replay.
        max_cached_ids: ids whose place in the log is remembered after use.
        event_producer: publishing to user-defined topics.
    """

    cleanup_policy = "delete"

    write_concurrency: int = attrs.field(default=1, validator=whole(1, 64))
    prefix: str = attrs.field(default="", validator=_is_prefix)
    snapshot_prefix: str = attrs.field(default=DEFAULT_SNAPSHOT_PREFIX, validator=_is_prefix)
    max_event_bytes: int = attrs.field(
        default=attrs.Factory(lambda self: min(256 * 1024, self.max_record_bytes), takes_self=True),
        validator=whole(1, _MAX_RECORD_BYTES),
    )
    replay_batch_bytes: int = attrs.field(default=_MIB, validator=whole(1024, MAX_BYTES))
    replay_buffer_events: int = attrs.field(default=1000, validator=whole(1, 10_000_000))
    max_cached_ids: int = attrs.field(default=100_000, validator=whole(1))
    event_producer: EventProducerConfig = attrs.field(
        factory=EventProducerConfig, validator=attrs.validators.instance_of(EventProducerConfig)
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.max_event_bytes > self.max_record_bytes:
            raise wrong(
                self,
                "max_event_bytes",
                f"must be at most max-record-bytes ({self.max_record_bytes}), not {self.max_event_bytes}",
            )
        if self.snapshot_prefix and collision_key(self.prefix).startswith(collision_key(self.snapshot_prefix)):
            raise wrong(
                self,
                "prefix",
                f"must not begin with the prefix of snapshot topics, {self.snapshot_prefix!r}; it is {self.prefix!r}",
            )

    def topic_name(self, persistence_id: str) -> str:
        """Return the journal topic of `persistence_id` (see `kafka_persist.naming.topic_name`)."""
        return topic_name(persistence_id, prefix=self.prefix, naming=self.naming, snapshot_prefix=self.snapshot_prefix)

    def event_producer_properties(self) -> dict[str, Any]:
        """Return the whole configuration of the publishing client, secrets in clear; librdkafka's names.

        A ``transactional.id`` for "exactly-once" is left to the caller: it needs one per publisher.
        """
        fire = self.event_producer.mode == "fire-and-forget"
        owned = {
            "enable.idempotence": not fire,
            "delivery.report.only.error": False,
            "delivery.timeout.ms": _milliseconds(self.delivery_timeout),
            "queue.buffering.max.messages": max(100_000, 2 * self.max_waiting_writes),
            "partitioner": "murmur2_random",
        }
        given = merge({"acks": 0 if fire else "all"}, self.event_producer.properties)
        return self._properties(given, owned)


@attrs.frozen(kw_only=True)
class SnapshotStoreConfig(StoreConfig):
    """The snapshot store.

    Attributes:
        bootstrap_servers: "" takes the journal's, and its `client` properties with them.
        prefix: put before the name of every snapshot topic; not empty.
        keep: how many of the newest snapshots of an id are kept; the latest is never deleted.
        chunk_bytes: larger snapshots are stored in pieces of this size.
        max_snapshot_bytes: size of the largest snapshot, encoded. One that is larger is refused, also on reading.
        on_unreadable: what `load` does if the newest snapshot cannot be read: "fail", or try the "older" ones.
        ignore_orphan: whether a snapshot that is newer than the journal's last event is passed over (Kafka may lose the
            end of a log in an unclean election; the state must not be ahead of the events).
    """

    cleanup_policy = "compact"

    bootstrap_servers: str = attrs.field(default="", converter=_servers, validator=_are_servers)
    prefix: str = attrs.field(default=DEFAULT_SNAPSHOT_PREFIX, validator=_is_prefix)
    keep: int = attrs.field(default=3, validator=whole(1, 1000))
    chunk_bytes: int = attrs.field(
        default=attrs.Factory(lambda self: min(900_000, self.max_record_bytes * 9 // 10), takes_self=True),
        validator=whole(512, _MAX_RECORD_BYTES),
    )
    max_snapshot_bytes: int = attrs.field(default=64 * _MIB, validator=whole(1, MAX_BYTES))
    on_unreadable: Literal["fail", "older"] = attrs.field(default="fail", validator=one_of(("fail", "older")))
    ignore_orphan: bool = attrs.field(default=True, validator=flag)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.chunk_bytes > self.max_record_bytes:
            raise wrong(
                self,
                "chunk_bytes",
                f"must be at most max-record-bytes ({self.max_record_bytes}), not {self.chunk_bytes}",
            )
        if not self.prefix:
            raise wrong(self, "prefix", "must not be empty: snapshots would lie in the topics of the events")

    def topic_name(self, persistence_id: str) -> str:
        """Return the snapshot topic of `persistence_id` or of a view's id."""
        return snapshot_topic_name(persistence_id, prefix=self.prefix, naming=self.naming)


def _milliseconds(duration: float) -> int:
    return round(duration * 1000)
