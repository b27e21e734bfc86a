"""Questions to a running broker. The only module of the test kit that imports confluent_kafka.

Its clients log into the void (`logger=`; librdkafka would write to stderr, and a broker that is just starting gives it much to
say) and are closed after use.
"""

# pyright: reportPrivateImportUsage=false
# What confluent_kafka.admin documents it does not re-export explicitly.

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from typing import Any

import attrs
from confluent_kafka import ElectionType, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ClusterMetadata,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from ._partition import PartitionState
from .errors import InvalidSettings, ServerStateError

_silent = logging.Logger("kafka_persist_testkit.probe")  # noqa: LOG001 - must not propagate anywhere
_silent.addHandler(logging.NullHandler())

_ANSWER_WITHIN = 30.0
_ASK_AGAIN = 0.01
_LOOK_EVERY = 0.25
_DYING = 2.0
"""Seconds that the end of a process may come after that of its connections."""
_SCRAM_ROUNDS = 4096  # the fewest that Kafka takes: these passwords live as long as a test
_NOBODY = -1  # the leader of a partition without one
_QUICK = {
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 100,
    "socket.connection.setup.timeout.ms": 2_000,
    "socket.timeout.ms": 10_000,
}


def _pause_for(seconds: float, checkpoint: Callable[[], None]) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        checkpoint()
        time.sleep(_ASK_AGAIN)  # the process tells nobody here


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
        self,
        names: Sequence[str],
        partitions: int,
        replication: int,
        config: Mapping[str, str],
        seconds: float,
        checkpoint: Callable[[], None],
    ) -> None:
        """Create topics in one request and wait until they are created.

        Args:
            names: The topics.
            partitions: Of each.
            replication: Copies of each partition.
            config: Settings of each.
            seconds: How long to wait at most.
            checkpoint: Called again and again meanwhile, and after an error; what it raises ends the wait.

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
                while not wait([future], _LOOK_EVERY).done:
                    checkpoint()
                future.result()
            except KafkaException as error:
                if error.args[0].code() == KafkaError._TRANSPORT:  # noqa: SLF001 - its public name
                    _pause_for(_DYING, checkpoint)  # a broker that dies hangs up first
                raise ServerStateError(f"topic {name} cannot be created: {error.args[0].str()}") from error
        self._wait_until_led(set(names), seconds, checkpoint)

    def _wait_until_led(self, names: set[str], seconds: float, checkpoint: Callable[[], None]) -> None:
        """A KRaft controller has made a topic before the brokers have heard of it."""
        deadline = time.monotonic() + seconds
        while True:
            metadata = self._metadata(_ANSWER_WITHIN)
            for name, topic in {} if metadata is None else metadata.topics.items():
                if topic.partitions and all(one.leader != _NOBODY for one in topic.partitions.values()):
                    names.discard(name)
            if not names:
                return
            if time.monotonic() > deadline:
                raise ServerStateError(f"created, but without a leader after {seconds:g} s: {', '.join(sorted(names))}")
            _pause_for(_ASK_AGAIN, checkpoint)

    def controller(self) -> int:
        """The id of the controller as the metadata names it; -1 if there is none. Not for KRaft, where it is any broker."""
        metadata = self._metadata(_ANSWER_WITHIN)
        return -1 if metadata is None else int(metadata.controller_id)

    def partition_states(self, seconds: float, topic: str | None = None) -> list[PartitionState] | None:
        """What the metadata says of a topic's partitions, or of those of all topics; None if nobody answers in time."""
        metadata = self._metadata(seconds)
        if metadata is None:
            return None
        return [
            PartitionState(name, number, one.leader, tuple(one.replicas), frozenset(one.isrs))
            for name, found in metadata.topics.items()
            if topic in (None, name)
            for number, one in found.partitions.items()
        ]

    def elect(self, topic: str, partition: int, *, unclean: bool) -> bool:
        """Have a leader elected: the preferred one, or (unclean) any replica that is there.

        Returns:
            Whether it was asked for; not so if the metadata names a controller that is none any more.

        Raises:
            ServerStateError: The brokers refuse.
        """
        kind = ElectionType.UNCLEAN if unclean else ElectionType.PREFERRED
        place = TopicPartition(topic, partition)
        try:
            answer = self._admin.elect_leaders(kind, [place]).result()  # 2.16.1 raises SystemError if given a timeout
        except KafkaException as error:
            if error.args[0].code() == KafkaError.NOT_CONTROLLER:
                return False
            raise ServerStateError(f"{topic}-{partition}: no leader elected: {error.args[0].str()}") from error
        found = next(iter(answer.values()))
        if found is not None and found.code() != KafkaError.ELECTION_NOT_NEEDED:
            raise ServerStateError(f"{topic}-{partition}: no leader elected: {found.str()}")
        return True

    def set_scram_passwords(self, mechanism: str, passwords: Mapping[str, str]) -> None:
        """Give users their passwords."""
        kind = ScramMechanism.SCRAM_SHA_256 if mechanism == "SCRAM-SHA-256" else ScramMechanism.SCRAM_SHA_512
        info = ScramCredentialInfo(kind, _SCRAM_ROUNDS)
        asked: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(user, info, word.encode()) for user, word in passwords.items()
        ]
        for future in self._admin.alter_user_scram_credentials(asked).values():
            future.result()

    def change_broker_config(self, broker_id: int, properties: Mapping[str, str]) -> None:
        """Change properties of a broker while it runs.

        Raises:
            ServerStateError: The broker refuses.
        """
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in properties.items()
        ]
        resource = ConfigResource(ConfigResource.Type.BROKER, str(broker_id), incremental_configs=entries)
        for future in self._admin.incremental_alter_configs([resource]).values():
            try:
                future.result()
            except KafkaException as error:
                raise ServerStateError(f"broker {broker_id} refuses: {error.args[0].str()}") from error

    def allow(self, rule: AccessRule) -> None:
        """Add access rules, and wait until a broker tells of them."""
        bindings = rule.bindings()
        for future in self._admin.create_acls(bindings).values():
            future.result()
        self._wait_for_rules(bindings, there=True)

    def disallow(self, rule: AccessRule) -> None:
        """Take access rules back, and wait until a broker does not tell of them any more."""
        bindings = rule.bindings()
        for future in self._admin.delete_acls([_as_filter(binding) for binding in bindings]).values():
            future.result()
        self._wait_for_rules(bindings, there=False)

    def _wait_for_rules(self, bindings: Sequence[AclBinding], *, there: bool) -> None:
        deadline = time.monotonic() + _ANSWER_WITHIN
        for binding in bindings:
            while bool(self._admin.describe_acls(_as_filter(binding)).result()) is not there:
                if time.monotonic() > deadline:
                    raise ServerStateError(f"the brokers did not take in {binding} within {_ANSWER_WITHIN:g} s")
                time.sleep(_ASK_AGAIN)  # nothing tells when a broker has taken it in

    def broker_config(self, broker_id: int) -> dict[str, str | None]:
        """The properties that a broker runs with."""
        resource = ConfigResource(ConfigResource.Type.BROKER, str(broker_id))
        (future,) = self._admin.describe_configs([resource]).values()
        return {name: entry.value for name, entry in future.result().items()}


@attrs.frozen
class AccessRule:
    """What a user may do.

    Attributes:
        user: Who.
        operations: What: `read`, `write`, `describe`, ..., as Kafka names them.
        kind: On what: `topic`, `group`, `transactional_id` or `cluster`.
        name: Of what name.
        prefix: Whether `name` is only the start of names.
    """

    user: str
    operations: tuple[str, ...]
    kind: str
    name: str
    prefix: bool

    def bindings(self) -> list[AclBinding]:
        """The same in the client's words.

        Raises:
            InvalidSettings: There is no such operation.
        """
        kind = ResourceType.BROKER if self.kind == "cluster" else ResourceType[self.kind.upper()]
        pattern = ResourcePatternType.PREFIXED if self.prefix else ResourcePatternType.LITERAL
        try:
            operations = [AclOperation[operation.upper().replace("-", "_")] for operation in self.operations]
        except KeyError as error:
            known = ", ".join(one.name.lower() for one in AclOperation if one.name not in ("UNKNOWN", "ANY"))
            raise InvalidSettings(f"no operation {error.args[0].lower()!r}; there are {known}") from None
        principal = f"User:{self.user}"
        return [
            AclBinding(kind, self.name, pattern, principal, "*", operation, AclPermissionType.ALLOW)
            for operation in operations
        ]


def _as_filter(binding: AclBinding) -> AclBindingFilter:
    found: Any = binding  # its attributes' types are wider than those that a filter takes
    return AclBindingFilter(
        found.restype,
        found.name,
        found.resource_pattern_type,
        found.principal,
        found.host,
        found.operation,
        found.permission_type,
    )


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
