"""Questions to a running broker. The only module of the test kit that imports confluent_kafka.

Its clients log into the void (`logger=`; librdkafka would write to stderr, and a broker that is just starting gives it much to
say) and are closed after use.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata, ConfigResource, NewTopic  # type: ignore[attr-defined]

from .errors import ServerStateError

_silent = logging.Logger("kafka_persist_testkit.probe")  # noqa: LOG001 - must not propagate anywhere
_silent.addHandler(logging.NullHandler())

_ANSWER_WITHIN = 30.0
_NOBODY = -1  # the leader of a partition without one
_QUICK = {
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 100,
    "socket.connection.setup.timeout.ms": 2_000,
    "socket.timeout.ms": 10_000,
}


class Probe:
    """Asks one cluster, over one client that stays connected while a server starts.

    Args:
        admin: The client, which whoever made it closes.
    """

    def __init__(self, admin: AdminClient) -> None:
        self._admin = admin

    def brokers(self, seconds: float) -> frozenset[int]:
        """The ids of the brokers that the cluster's metadata names; empty if nobody answers within `seconds`."""
        metadata = self._metadata(seconds)
        return frozenset() if metadata is None else frozenset(metadata.brokers)

    def has_settled(self, broker_id: int, topics: int, seconds: float) -> bool:
        """Whether a broker has taken its place in the cluster, and with it every partition that waits for it.

        Right after a restart the metadata names the broker, but not yet its topics, or partitions without a leader.

        Args:
            broker_id: The broker.
            topics: The number of topics that there are at least.
            seconds: How long to wait for an answer.
        """
        metadata = self._metadata(seconds)
        if metadata is None or broker_id not in metadata.brokers or len(metadata.topics) < topics:
            return False
        partitions = (one for topic in metadata.topics.values() for one in topic.partitions.values())
        return not any(one.leader == _NOBODY and broker_id in one.isrs for one in partitions)

    def _metadata(self, seconds: float) -> ClusterMetadata | None:
        try:
            return self._admin.list_topics(timeout=seconds)
        except KafkaException:
            return None
        finally:
            self._admin.poll(0)  # serves the client's log lines, which would pile up

    def partitions(self, topic: str) -> int:
        """The number of partitions of a topic; 0 if there is no such topic."""
        answer = self._admin.list_topics(topic, timeout=_ANSWER_WITHIN).topics[topic]
        return len(answer.partitions) if answer.error is None else 0

    def create_topics(
        self, names: Sequence[str], partitions: int, replication: int, config: Mapping[str, str], seconds: float
    ) -> None:
        """Create topics in one request and wait until they are created.

        Raises:
            ServerStateError: The broker refuses one of them.
        """
        topics = [
            NewTopic(name, num_partitions=partitions, replication_factor=replication, config=dict(config))
            for name in names
        ]
        limits = {"operation_timeout": seconds, "request_timeout": seconds}
        for name, future in self._admin.create_topics(topics, **limits).items():
            try:
                future.result()
            except KafkaException as error:
                raise ServerStateError(f"topic {name} cannot be created: {error.args[0].str()}") from error

    def broker_config(self, broker_id: int) -> dict[str, str | None]:
        """The properties that a broker runs with."""
        resource = ConfigResource(ConfigResource.Type.BROKER, str(broker_id))
        (future,) = self._admin.describe_configs([resource]).values()
        return {name: entry.value for name, entry in future.result().items()}


@contextmanager
def open_probe(bootstrap_servers: str, config: Mapping[str, str] | None = None) -> Iterator[Probe]:
    """Open a probe, closed at the end.

    Args:
        bootstrap_servers: Where to ask, comma separated.
        config: Further client properties (security, for example).
    """
    settings: dict[str, str | int | float | bool] = {**_QUICK, **(config or {}), "bootstrap.servers": bootstrap_servers}
    with AdminClient(settings, logger=_silent) as admin:
        yield Probe(admin)
