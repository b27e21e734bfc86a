"""Which properties of a client are not the user's to set, and why; what the others start from.

The keys of the tables are the names that librdkafka's aliases stand for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["client", "consumer", "producer", "snapshot producer", "event producer"]
"""Which section: every client of a store, its readers, its writers (the journal's, the snapshot store's), the publisher to
user-defined topics."""

CLIENT_DEFAULTS: Final[Mapping[str, object]] = {
    "client.id": "kafka-persist",
    "reconnect.backoff.max.ms": 1000,
}

CONSUMER_DEFAULTS: Final[Mapping[str, object]] = {
    "socket.timeout.ms": 30000,
    "socket.receive.buffer.bytes": 0,
    "fetch.message.max.bytes": 1048576,
    "fetch.queue.backoff.ms": 10,
    "queued.max.messages.kbytes": 16384,
}

PRODUCER_DEFAULTS: Final[Mapping[str, object]] = {
    "acks": "all",
    "linger.ms": 0,
    "message.send.max.retries": 2147483647,
    "retry.backoff.ms": 100,
}

EVENT_PRODUCER_DEFAULTS: Final[Mapping[str, object]] = {"linger.ms": 5}

_EVERYWHERE = {
    "metadata.broker.list": "is set by the library from the section's own bootstrap.servers",
    "message.max.bytes": "is derived from max-record-bytes; set that",
    "allow.auto.create.topics": "is false: topics are created by the library, with checked settings (topics.create)",
}

_ANY_PRODUCER = {
    "message.timeout.ms": "is derived from delivery-timeout (in seconds); set that",
    "queue.buffering.max.messages": "is derived from max-waiting-writes; set that",
    "delivery.report.only.error": "is false: every write waits for its delivery report",
    "queuing.strategy": "is fifo: the order of writes must hold",
    "enable.gapless.guarantee": "is off: the library itself never sends past a failed write of the same id",
}

_PARTITIONER = "is not used: every record names its partition; set partition"
_NO_GROUP = "has no effect: partitions are assigned, there is no consumer group (and no Group ACL is needed)"
_NO_COMMIT = "has no effect: no offsets are committed, the journal itself says where reading starts"

OWNED: Final[Mapping[Kind, Mapping[str, str]]] = {
    "client": _EVERYWHERE,
    "producer": _EVERYWHERE
    | _ANY_PRODUCER
    | {
        "enable.idempotence": "is false: a repeated record extends a head that is no longer the head and so does not "
        "count, and the idempotent producer would halve the throughput of many ids",
        "transactional.id": "is not used: an atomic write is one record, which needs no transaction",
        "transaction.timeout.ms": "is not used: an atomic write is one record, which needs no transaction",
        "partitioner": _PARTITIONER,
    },
    "snapshot producer": _EVERYWHERE
    | _ANY_PRODUCER
    | {
        "enable.idempotence": "is true: a copy of a snapshot's record that landed late, after the snapshot's deletion, "
        "would bring it back",
        "transactional.id": "is not used: a snapshot counts when all of its pieces are stored, which needs no transaction",
        "transaction.timeout.ms": "is not used: a snapshot counts when all of its pieces are stored, which needs no "
        "transaction",
        "partitioner": _PARTITIONER,
    },
    "event producer": _EVERYWHERE
    | _ANY_PRODUCER
    | {
        "enable.idempotence": "follows from mode; set that",
        "transactional.id": 'follows from mode; set mode = "exactly-once"',
        "partitioner": "is murmur2_random, as Java producers have it, so that the events of one id stay in one "
        "partition whoever publishes them",
    },
    "consumer": _EVERYWHERE
    | {
        "auto.offset.reset": "is error: anything else hides that events are missing at the start of the log",
        "check.crcs": "is set by the library, which checks its own records: librdkafka 2.16 aborts the process after "
        "a record whose checksum is wrong",
        "enable.partition.eof": "is set by the library as its readers need it",
        "isolation.level": "is set by the library: all readers must see the same records",
        "group.id": _NO_GROUP,
        "group.instance.id": _NO_GROUP,
        "group.protocol": _NO_GROUP,
        "group.protocol.type": _NO_GROUP,
        "group.remote.assignor": _NO_GROUP,
        "partition.assignment.strategy": _NO_GROUP,
        "enable.auto.commit": _NO_COMMIT,
        "auto.commit.enable": _NO_COMMIT,
        "auto.commit.interval.ms": _NO_COMMIT,
        "enable.auto.offset.store": _NO_COMMIT,
        "offset.store.method": _NO_COMMIT,
        "offset.store.path": _NO_COMMIT,
        "offset.store.sync.interval.ms": _NO_COMMIT,
    },
}
"""Per section: property and why it is refused."""

_JVM_SERIALIZER = "has no meaning here: keys and values are bytes, made by the library's serializer"

JVM_NAMES: Final[Mapping[str, str]] = {
    "producer.type": "has no meaning here: a write returns when it is durable, and nothing else is offered",
    "partitioner.class": "has no meaning here: every record names its partition; set partition",
    "serializer.class": _JVM_SERIALIZER,
    "key.serializer.class": _JVM_SERIALIZER,
    "key.serializer": _JVM_SERIALIZER,
    "value.serializer": _JVM_SERIALIZER,
    "key.deserializer": _JVM_SERIALIZER,
    "value.deserializer": _JVM_SERIALIZER,
    "queue.enqueue.timeout.ms": "has no meaning here: a write waits for room in the queue until it is cancelled",
    "max.block.ms": "has no meaning here: a write waits for room in the queue until it is cancelled",
    "max.request.size": "is called max-record-bytes here, in the section above",
    "buffer.memory": "is called queue.buffering.max.kbytes in librdkafka",
    "send.buffer.bytes": "is called socket.send.buffer.bytes in librdkafka",
    "receive.buffer.bytes": "is called socket.receive.buffer.bytes in librdkafka",
    "fetch.max.wait.ms": "is called fetch.wait.max.ms in librdkafka",
    "sasl.jaas.config": "is called sasl.username and sasl.password in librdkafka",
    "ssl.truststore.location": "is called ssl.ca.location in librdkafka (a PEM file)",
    "ssl.truststore.password": "has no meaning here: ssl.ca.location is a PEM file",
    "zookeeper.connect": "belongs into the section zookeeper, as connect",
}
"""Properties of Java clients that librdkafka does not have."""

UNSAFE_TLS: Final[Mapping[str, tuple[str, str]]] = {
    "enable.ssl.certificate.verification": ("false", "anybody can pose as the broker, and read and change every event"),
    "ssl.endpoint.identification.algorithm": ("none", "any certificate of the same authority can pose as the broker"),
}
"""Property, its dangerous value, and what is lost."""
