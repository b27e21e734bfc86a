"""The configuration of the journal."""

from __future__ import annotations

from typing import Any, Final

import attrs

from ..limits import (
    BROKER_MAX_MESSAGE_BYTES,
    DEFAULT_EVENT_BYTES,
    DEFAULT_WAITING_BYTES,
    MAX_HOST_NAME_LENGTH,
    MAX_RECORD_BYTES,
    MAX_SIZE_SETTING,
    MAX_WAITING_BYTES,
    MIB,
    PUBLISHED_OVERHEAD_BYTES,
)
from ..naming import DEFAULT_SNAPSHOT_PREFIX, collision_key, topic_name
from .clients import merge
from .fields import one_of, short_text, topic_prefix, whole, wrong
from .parts import LAYOUTS, EventProducerConfig, Layout, SharedConfig
from .stores import StoreConfig

DAY_MS: Final = 24 * 60 * 60 * 1000

TRANSACTION_TIMEOUT_MS: Final = 10_000
"""How long the brokers leave the transaction of a dead publisher open, which everybody who reads committed events waits
for. Long enough for a new leader to be found; one that takes longer is begun again."""


@attrs.frozen(kw_only=True)
class JournalConfig(StoreConfig):
    """The journal.

    Attributes:
        write_concurrency: producer clients. One is enough: several gain nothing
            measurable with the plain producer.
        prefix: put before the name of every journal topic, one per tenant.
        snapshot_prefix: the prefix of the snapshot topics in the same cluster, so that no journal topic begins with it
            (`Config` sets it from the snapshot store's).
        max_event_bytes: size of the largest event that is written, encoded.
        max_waiting_bytes: events of the writes handed over and not yet confirmed; further writes wait. A single larger
            write goes alone.
        replay_batch_bytes: how much is read ahead at a time.
        max_cached_ids: ids whose place in the log is remembered after use.
        host_name: what claims say about the host, for the error of a writer that lost its id to another process:
            "auto" is the host's own name, "" tells nothing.
        layout: "topic-per-id" (an id has a topic of its own) or "shared" (a fixed number of logs holds all ids).
        shared: the shared layout's logs.
        event_producer: publishing to user-defined topics.
    """

    cleanup_policy = "delete"

    write_concurrency: int = attrs.field(default=1, validator=whole(1, 64))
    prefix: str = attrs.field(default="", validator=topic_prefix)
    snapshot_prefix: str = attrs.field(default=DEFAULT_SNAPSHOT_PREFIX, validator=topic_prefix)
    max_event_bytes: int = attrs.field(
        default=attrs.Factory(lambda self: min(DEFAULT_EVENT_BYTES, self.max_record_bytes), takes_self=True),
        validator=whole(1, MAX_RECORD_BYTES),
    )
    max_waiting_bytes: int = attrs.field(default=DEFAULT_WAITING_BYTES, validator=whole(1, MAX_WAITING_BYTES))
    replay_batch_bytes: int = attrs.field(default=MIB, validator=whole(1024, MAX_SIZE_SETTING))
    max_cached_ids: int = attrs.field(default=100_000, validator=whole(1))
    host_name: str = attrs.field(default="auto", validator=short_text(MAX_HOST_NAME_LENGTH))
    layout: Layout = attrs.field(default="topic-per-id", validator=one_of(LAYOUTS))
    shared: SharedConfig = attrs.field(factory=SharedConfig, validator=attrs.validators.instance_of(SharedConfig))
    event_producer: EventProducerConfig = attrs.field(
        factory=EventProducerConfig, validator=attrs.validators.instance_of(EventProducerConfig)
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._check_tls("event_producer", self.event_producer.properties)
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

    @property
    def shared_topic(self) -> str:
        """The topic of the shared layout."""
        return f"{self.prefix}{self.shared.topic}"

    @property
    def command_topic(self) -> str:
        """The topic of the commands of shards."""
        return f"{self.shared_topic}-commands"

    @property
    def reply_topic(self) -> str:
        """The topic of the replies to them."""
        return f"{self.shared_topic}-replies"

    def command_topic_settings(self) -> dict[str, str]:
        """Return the settings of a new command topic: a day is longer than any command is waited for."""
        return self.event_topic_settings() | {"retention.ms": str(DAY_MS)}

    def reply_topic_settings(self) -> dict[str, str]:
        """Return the settings of a new reply topic: who waits for a reply reads it at once."""
        return self.event_topic_settings() | {"retention.ms": str(DAY_MS // 24)}

    def command_producer_properties(self) -> dict[str, Any]:
        """Return the whole configuration of the client that sends commands and replies: no record lands twice."""
        owned = {
            **self._writing(idempotent=True),
            "message.max.bytes": self.max_record_bytes + PUBLISHED_OVERHEAD_BYTES,
            "acks": "all",
        }
        return self._properties(self.producer, owned)

    def topic_name(self, persistence_id: str) -> str:
        """Return the journal topic of `persistence_id` (see `kafka_persist.naming.topic_name`)."""
        return topic_name(persistence_id, prefix=self.prefix, naming=self.naming, snapshot_prefix=self.snapshot_prefix)

    def event_producer_properties(self) -> dict[str, Any]:
        """Return the whole configuration of the publishing client, secrets in clear; librdkafka's names.

        For "exactly-once" the caller adds the ``transactional.id``, which is the id's: `transactional_id`.
        """
        mode = self.event_producer.mode
        owned = {
            **self._writing(idempotent=mode != "fire-and-forget"),
            "message.max.bytes": self.max_record_bytes + PUBLISHED_OVERHEAD_BYTES,
            "partitioner": "murmur2_random",
        }
        tuning: dict[str, Any] = {"acks": 0 if mode == "fire-and-forget" else "all"}
        if mode == "at-least-once":  # no event is given up while later ones of its id go on
            owned["delivery.timeout.ms"] = 0
        given = merge(tuning, self.event_producer.properties)
        if mode == "exactly-once":  # a transaction must outlive its writes: librdkafka refuses less
            given = merge({"transaction.timeout.ms": TRANSACTION_TIMEOUT_MS}, given)
            owned["delivery.timeout.ms"] = min(owned["delivery.timeout.ms"], int(given["transaction.timeout.ms"]))
        return self._properties(given, owned)

    def transactional_id(self, topic: str) -> str:
        """Return the ``transactional.id`` of the id whose journal topic is `topic`: the same in every process."""
        return f"{self.event_producer.transaction_prefix}{topic}-{self.partition}"

    @property
    def publication_group(self) -> str:
        """The consumer group whose committed offsets say how far ids are published "exactly-once"; nobody ever joins it."""
        return f"{self.event_producer.transaction_prefix}{self.prefix}published"

    def event_consumer_properties(self, group: str = "") -> dict[str, Any]:
        """Return the whole configuration of a reader of user-defined topics, secrets in clear; librdkafka's names.

        Args:
            group: the consumer group to join; "" for none.
        """
        owned = {
            "group.id": group or "kafka-persist",  # required by the client; joined only by who subscribes
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "check.crcs": True,
            "isolation.level": "read_committed",
            "partition.assignment.strategy": "cooperative-sticky",
            "message.max.bytes": self.max_record_bytes + PUBLISHED_OVERHEAD_BYTES,
        }
        return self._properties(merge({"topic.metadata.refresh.interval.ms": 10_000}, self.consumer), owned)

    def event_topic_settings(self) -> dict[str, str]:
        """Return the settings of a new user-defined topic, Kafka's names and texts.

        How long it keeps events is the broker's default, or what the topic's owner sets.
        """
        largest = self.max_record_bytes + PUBLISHED_OVERHEAD_BYTES
        return {
            "cleanup.policy": "delete",
            "segment.index.bytes": str(self.topics.segment_index_bytes),
        } | ({"max.message.bytes": str(largest)} if largest > BROKER_MAX_MESSAGE_BYTES else {})
