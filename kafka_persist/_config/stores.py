"""What the configurations of journal and snapshot store have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

import attrs

from ..limits import (
    BROKER_MAX_MESSAGE_BYTES,
    DEFAULT_RECORD_BYTES,
    MAX_RECORD_BYTES,
    MIN_RECORD_BYTES,
    RECORD_OVERHEAD_BYTES,
)
from ..naming import Naming
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
from .fields import comma_separated, flag, milliseconds, one_of, seconds, servers, whole, wrong
from .parts import TopicsConfig, ZookeeperConfig
from .secrets import Properties

DEFAULT_BOOTSTRAP_SERVERS: Final = "localhost:9092"


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
        readers: consumers for short reads; each reads any number of ids at the same time.
        client: librdkafka's properties of all clients (``security.protocol``, ``sasl.*``, ``ssl.*``).
        consumer: librdkafka's properties of readers, over `client` and the defaults.
        producer: librdkafka's properties of writers, over `client` and the defaults.
        zookeeper: finding the brokers through ZooKeeper.
    """

    cleanup_policy: ClassVar[str]

    bootstrap_servers: str = attrs.field(
        default=DEFAULT_BOOTSTRAP_SERVERS, converter=comma_separated, validator=servers
    )
    partition: int = attrs.field(default=0, validator=whole(0, 99_999))
    naming: Naming = attrs.field(default="hashed", validator=one_of(("hashed", "seed")))
    topics: TopicsConfig = attrs.field(factory=TopicsConfig, validator=attrs.validators.instance_of(TopicsConfig))
    settings_policy: Literal["refuse", "warn"] = attrs.field(default="refuse", validator=one_of(("refuse", "warn")))
    allow_unsafe: bool = attrs.field(default=False, validator=flag)
    connect_timeout: float = attrs.field(default=10.0, validator=seconds(0.1, 3600))
    delivery_timeout: float = attrs.field(default=30.0, validator=seconds(0.1, 3600))
    recovery_stall_timeout: float = attrs.field(default=30.0, validator=seconds(0.1, 3600))
    max_waiting_writes: int = attrs.field(default=10_000, validator=whole(1, 10_000_000))
    max_record_bytes: int = attrs.field(
        default=DEFAULT_RECORD_BYTES, validator=whole(MIN_RECORD_BYTES, MAX_RECORD_BYTES)
    )
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
            self._check_tls(field, getattr(self, field))
        if self.topics.settings.get("unclean.leader.election.enable") == "true":
            raise wrong(
                self,
                "topics",
                "must not be true without allow-unsafe = true: a leader that missed writes would lose them",
                key="settings.unclean.leader.election.enable",
            )

    def _check_tls(self, field: str, properties: Mapping[str, Any]) -> None:
        if not self.allow_unsafe and (found := unsafe_tls(properties)):
            raise wrong(self, field, found[1], key=found[0])

    def client_properties(self) -> dict[str, Any]:
        """Return what every client (admin included) is configured with, secrets in clear."""
        return self._properties({}, {})

    def producer_properties(self) -> dict[str, Any]:
        """Return the whole configuration of a writing client, secrets in clear; librdkafka's names.

        The user's properties win over the tuning, never over what the guarantees rest on (those cannot be given).
        No idempotent producer: a repeated record extends a head that is no longer the head, so it does not count.
        """
        writing = self._writing(idempotent=False)
        # The bridge sends again itself: librdkafka reports its last attempt only, and "refused" after an attempt whose
        # answer was lost is not "certainly not stored".
        writing["message.send.max.retries"] = 0
        return self._properties(self.producer, writing)

    def consumer_properties(self, *, fetch_wait_ms: int = 0) -> dict[str, Any]:
        """Return the whole configuration of a reading client, secrets in clear; librdkafka's names.

        Args:
            fetch_wait_ms: how long a broker may hold an empty answer back, unless the user gives
                ``fetch.wait.max.ms``: 0 for short reads, about 20 for long replays.
        """
        owned = {
            "group.id": "kafka-persist",  # required by the client, never joined: partitions are assigned
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "check.crcs": False,  # ours are checked instead: librdkafka 2.16 aborts the process after a bad one
            "isolation.level": "read_uncommitted",  # an open foreign transaction must not hold the end back
            "enable.partition.eof": True,  # what says that a log was read to its end
        }
        tuning = {
            "fetch.wait.max.ms": fetch_wait_ms,
            "fetch.error.backoff.ms": 20,
            "topic.metadata.refresh.fast.interval.ms": 20,  # a new leader is looked for at once
        }
        return self._properties(merge(tuning, self.consumer), owned)

    def topic_settings(self) -> dict[str, str]:
        """Return the settings of a new topic, Kafka's names and texts.

        ``max.message.bytes`` is among them where the broker's default would refuse the largest record. Records get the
        broker's time, unless the user says otherwise: from Kafka 4 on a broker refuses the time of a client whose clock
        is more than an hour ahead, and the stores keep their own timestamps inside the records.
        """
        needed = self.max_record_bytes + RECORD_OVERHEAD_BYTES
        derived = {"message.timestamp.type": "LogAppendTime"}
        if needed > BROKER_MAX_MESSAGE_BYTES:
            derived["max.message.bytes"] = str(needed)
        return (
            derived
            | dict(self.topics.settings)
            | {
                "cleanup.policy": self.cleanup_policy,
                "retention.ms": str(self.topics.retention_ms),
                "segment.index.bytes": str(self.topics.segment_index_bytes),
            }
        )

    def _writing(self, *, idempotent: bool) -> dict[str, Any]:
        return {
            "enable.idempotence": idempotent,
            "delivery.report.only.error": False,
            "delivery.timeout.ms": milliseconds(self.delivery_timeout),
            "queue.buffering.max.messages": max(100_000, 2 * self.max_waiting_writes),
        }

    def _properties(self, given: Mapping[str, Any], owned: Mapping[str, Any]) -> dict[str, Any]:
        connect = max(1000, milliseconds(self.connect_timeout))  # librdkafka takes no less
        common = {
            "bootstrap.servers": self.bootstrap_servers or DEFAULT_BOOTSTRAP_SERVERS,
            "message.max.bytes": self.max_record_bytes + RECORD_OVERHEAD_BYTES,
            "allow.auto.create.topics": False,
        }
        tuning = {"socket.connection.setup.timeout.ms": connect}
        return Properties(merge(tuning, self.client, given, common, owned)).reveal()
