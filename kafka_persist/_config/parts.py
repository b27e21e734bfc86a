"""The sections of a store's configuration: its topics, its shared layout, its publisher, its ZooKeeper."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import attrs

from ..limits import MAX_SIZE_SETTING
from .catalogue import nearest
from .clients import acks_name, acks_problem, event_producer_section, properties_of
from .fields import flag, one_of, seconds, shown, topic_prefix, whole, wrong
from .secrets import Properties, Settings

PublishingMode: TypeAlias = Literal["at-least-once", "exactly-once", "fire-and-forget"]
"""How safely events reach user-defined topics."""

Layout: TypeAlias = Literal["topic-per-id", "shared"]
"""Which logs hold the ids."""

LAYOUTS: Final = ("topic-per-id", "shared")
LEAST_RATIO: Final = 1.25
MOST_RATIO: Final = 1000.0
MODES: Final = ("at-least-once", "exactly-once", "fire-and-forget")
DEFAULT_MAPPER: Final = "kafka_persist.publishing:DefaultEventTopicMapper"
EMPTY_MAPPER: Final = "kafka_persist.publishing:EmptyEventTopicMapper"
_ORIGINAL_MAPPERS: Final = {
    "akka.persistence.kafka.DefaultEventTopicMapper": DEFAULT_MAPPER,
    "akka.persistence.kafka.EmptyEventTopicMapper": EMPTY_MAPPER,
}

_MAPPER = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_TOPIC_SETTINGS = (
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.downconversion.enable",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.difference.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "remote.storage.enable",
    "retention.bytes",
    "segment.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
)
_OWNED_TOPIC_SETTINGS = {
    "cleanup.policy": "is set by the library: delete on journal topics, compact on snapshot topics",
    "retention.ms": "has a key of its own, retention-ms",
    "segment.index.bytes": "has a key of its own, segment-index-bytes",
}


def _settings(given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    return Settings({name: _setting(value) for name, value in given.items()})


def _setting(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int | float) else value


def _none_if_empty(value: Any) -> Any:
    return None if value == "" else value


def _topic_settings(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, Mapping):
        raise wrong(instance, attribute.name, f"must be a mapping of topic settings, not {type(value).__name__}")
    for name, entry in value.items():
        if problem := _topic_setting_problem(name, entry):
            raise wrong(instance, attribute.name, problem, key=name)


def _topic_setting_problem(name: str, value: object) -> str | None:
    if name in _OWNED_TOPIC_SETTINGS:
        return _OWNED_TOPIC_SETTINGS[name]
    if not isinstance(value, str):
        return f"must be text, a number, true or false, not {shown(value)}"
    if name not in _TOPIC_SETTINGS and (near := nearest(name, _TOPIC_SETTINGS)):
        return f"is not a topic setting of Kafka; did you mean {near}?"
    return None


def _not_zero(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value == 0:
        raise wrong(instance, attribute.name, "must be at least 1, or -1 for the broker's default, not 0")


def _not_empty(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not value:
        raise wrong(instance, attribute.name, "must not be empty")


def _hosts(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise wrong(instance, attribute.name, f"must be host:port[,host:port...][/path], not {shown(value)}")


@attrs.frozen(kw_only=True)
class TopicsConfig:
    """The topics that a store creates.

    Attributes:
        create: whether missing topics are created (false: they must be there).
        replication_factor: copies of each partition; -1 is the broker's default.
        partitions: partitions of a new topic.
        retention_ms: how long Kafka keeps events, milliseconds; -1 is forever.
        segment_index_bytes: size of the two index files that a broker allocates ahead for each partition. Kafka's 10
            MiB stall the first write of each new topic on some file systems; 100 KiB still allow segments of 33 MiB.
        settings: further settings of new topics, Kafka's names.
    """

    create: bool = attrs.field(default=True, validator=flag)
    replication_factor: int = attrs.field(default=-1, validator=[whole(-1, 32767), _not_zero])
    partitions: int = attrs.field(default=1, validator=whole(1, 100_000))
    retention_ms: int = attrs.field(default=-1, validator=whole(-1))
    segment_index_bytes: int = attrs.field(default=102_400, validator=whole(1024, MAX_SIZE_SETTING))
    settings: Mapping[str, str] = attrs.field(factory=Settings, converter=_settings, validator=_topic_settings)


def _cleaning_ratio(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if not number or not (value == 0 or LEAST_RATIO <= value <= MOST_RATIO):
        raise wrong(
            instance, attribute.name, f"must be 0 (never) or from {LEAST_RATIO} to {MOST_RATIO:g}, not {shown(value)}"
        )


@attrs.frozen(kw_only=True)
class SharedConfig:
    """The shared layout: a fixed number of logs holds all ids.

    Attributes:
        topic: the topic whose partitions are the logs; the journal's prefix is put before it.
        partitions: how many logs. An id's log follows from it, so it is fixed when the topic is created.
        directory: where this process keeps its index (needs the extra ``shared``); "" keeps it in memory, and reads the logs
            from their start each time. Each process has its own; deleting it is always safe.
        cleaning_ratio: how many times larger than what is not deleted a log may become before its owner cleans it; at least
            1.25. 0: never.
        cleaning_least_bytes: a log below this size is left alone.
    """

    topic: str = attrs.field(default="journal", validator=[topic_prefix, _not_empty])
    partitions: int = attrs.field(default=16, validator=whole(1, 10_000))
    directory: str = attrs.field(default="", validator=attrs.validators.instance_of(str))
    cleaning_ratio: float = attrs.field(default=2.0, validator=_cleaning_ratio)
    cleaning_least_bytes: int = attrs.field(default=64 * 1024 * 1024, validator=whole(0, MAX_SIZE_SETTING))


@attrs.frozen(kw_only=True)
class SharedSnapshotsConfig:
    """The shared layout of the snapshot store: one topic holds the snapshots of all ids.

    Attributes:
        topic: the topic; the store's prefix is put before it.
        partitions: how many it has. An id's partition follows from it, so it is fixed when the topic is created.
        directory: where this process keeps its index (needs the extra ``shared``); "" takes the journal's, if it has one.
            Without one the index is in memory, and the partitions are read from their start each time. Each process has its
            own; deleting it is always safe.
    """

    topic: str = attrs.field(default="shared", validator=[topic_prefix, _not_empty])
    partitions: int = attrs.field(default=16, validator=whole(1, 10_000))
    directory: str = attrs.field(default="", validator=attrs.validators.instance_of(str))


@attrs.frozen(kw_only=True)
class EventProducerConfig:
    """Publishing to user-defined topics.

    Attributes:
        topic_mapper_class: which topics an event goes to: ``package.module:ClassName``.
        mode: "at-least-once" (nothing is lost, a crash may repeat events), "exactly-once" (transactions), or
            "fire-and-forget" (the original's: nothing is waited for, events may be lost).
        await_publication: whether a write returns only when its events are in their topics, too.
        publish_pending: whether opening a journal publishes what dead processes left, of all ids (reads every journal
            topic once).
        partitions: partitions of a new user-defined topic; -1 is the broker's default.
        transaction_prefix: with "exactly-once", what transactional ids and the consumer group that says how far ids are published
            begin with; the journal's prefix follows.
        transactional_producers: with "exactly-once", ids that publish at the same time, each with a client of its own.
        properties: librdkafka's properties of the publisher, over the defaults.
    """

    topic_mapper_class: str = DEFAULT_MAPPER
    mode: PublishingMode = attrs.field(default="at-least-once", validator=one_of(MODES))
    await_publication: bool = attrs.field(default=False, validator=flag)
    publish_pending: bool = attrs.field(default=False, validator=flag)
    partitions: int = attrs.field(default=-1, validator=[whole(-1, 100_000), _not_zero])
    transaction_prefix: str = attrs.field(default="kafka-persist-", validator=topic_prefix)
    transactional_producers: int = attrs.field(default=32, validator=whole(1, 1000))
    properties: Mapping[str, Any] = attrs.field(
        factory=Properties, converter=event_producer_section, validator=properties_of("event producer")
    )

    def __attrs_post_init__(self) -> None:
        self._check_mapper()
        name = acks_name(self.properties)
        if name and self.mode != "fire-and-forget" and acks_problem(self.properties[name]):
            raise wrong(
                self, "properties", f'must be all with mode = "{self.mode}" ("fire-and-forget" allows less)', key=name
            )

    def _check_mapper(self) -> None:
        value: object = self.topic_mapper_class
        if isinstance(value, str) and _MAPPER.fullmatch(value):
            return
        problem = f'must be a Python class, "package.module:ClassName", not {shown(value)}'
        if isinstance(value, str) and (ours := _ORIGINAL_MAPPERS.get(value)):
            problem += f"; that one is {ours} here"
        raise wrong(self, "topic_mapper_class", problem)


@attrs.frozen(kw_only=True)
class ZookeeperConfig:
    """Finding the brokers through ZooKeeper (needs the extra ``zookeeper``).

    Attributes:
        connect: ``host1:port1,host2:port2/chroot``; None (or "") uses the store's bootstrap servers instead.
        session_timeout: seconds after which ZooKeeper gives the session up.
        connection_timeout: seconds to wait for the first connection.
        sync_time: seconds by which a ZooKeeper server may lag behind.
    """

    connect: str | None = attrs.field(default=None, converter=_none_if_empty, validator=_hosts)
    session_timeout: float = attrs.field(default=6.0, validator=seconds(0.1, 3600))
    connection_timeout: float = attrs.field(default=6.0, validator=seconds(0.1, 3600))
    sync_time: float = attrs.field(default=2.0, validator=seconds(0, 3600))
