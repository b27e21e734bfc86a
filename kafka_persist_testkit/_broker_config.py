"""The property files that the servers are started with, and the reason for each value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from ._ports import LOOPBACK
from .errors import InvalidSettings
from .settings import TestServerSettings

# The test server answers for these: its addresses, identities and directories.
_OWN = frozenset(
    {
        "advertised.listeners",
        "broker.id",
        "controller.listener.names",
        "controller.quorum.bootstrap.servers",
        "controller.quorum.voters",
        "listeners",
        "log.dir",
        "log.dirs",
        "metadata.log.dir",
        "node.id",
        "port",
        "process.roles",
        "zookeeper.connect",
    }
)

_BROKER = {
    # A topic made by a typing error should not exist.
    "auto.create.topics.enable": "false",
    # Few partitions for what the broker keeps for itself: each costs time when it is first used.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    # Consumer groups would wait three seconds for more members.
    "group.initial.rebalance.delay.ms": "0",
    # The compactor's buffer comes out of the heap, 128 MiB by default.
    "log.cleaner.dedupe.buffer.size": "8388608",
    "log.cleaner.threads": "1",
    # Few threads: the machine is the test's.
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    # A stop must not wait long for leaders that cannot move.
    "controlled.shutdown.max.retries": "1",
    "controlled.shutdown.retry.backoff.ms": "100",
}

_ZOOKEEPER_MODE = {
    # How long the others wait before they take over from a dead broker.
    "zookeeper.session.timeout.ms": "6000",
    "zookeeper.connection.timeout.ms": "60000",
}

_KRAFT_MODE = {
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
    "process.roles": "broker,controller",
    # How long a killed broker's own successor is kept waiting.
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "share.coordinator.state.topic.num.partitions": "4",
}


@attrs.frozen(kw_only=True)
class Member:
    """One broker of a cluster.

    Attributes:
        broker_id: Its id.
        port: Where clients reach it.
        log_dirs: Its data.
        controller_port: Where the other controllers reach it (KRaft).
    """

    broker_id: int
    port: int
    log_dirs: Path
    controller_port: int = 0


def check_properties(properties: Mapping[str, str]) -> None:
    """Refuse the properties that the test server sets itself.

    Raises:
        InvalidSettings: One of them was given.
    """
    own = sorted(_OWN & properties.keys())
    if own:
        raise InvalidSettings(
            f"broker property {own[0]} is the test server's own: ports, ids and directories have settings of their own "
            "(port, broker_id, log_dirs, zookeeper_port)"
        )


def zookeeper_properties(port: int, directory: Path) -> dict[str, str]:
    """ZooKeeper's configuration."""
    return {
        "admin.enableServer": "false",  # it would listen on every address
        "4lw.commands.whitelist": "ruok,srvr",
        "clientPort": str(port),
        "clientPortAddress": LOOPBACK,
        "dataDir": str(directory),
        "maxClientCnxns": "0",
        "tickTime": "2000",
    }


def broker_properties(
    settings: TestServerSettings, member: Member, members: Sequence[Member], zookeeper_connect: str | None
) -> dict[str, str]:
    """One broker's configuration.

    Args:
        settings: What the user asked for.
        member: The broker.
        members: All of its cluster.
        zookeeper_connect: ZooKeeper's address, None for KRaft.
    """
    mode = _kraft(member, members) if zookeeper_connect is None else _zookeeper(member, members, zookeeper_connect)
    return {**_BROKER, **_replication(len(members)), **_chosen(settings), **mode, **settings.properties} | {
        "log.dirs": str(member.log_dirs)
    }


def render(properties: Mapping[str, str]) -> str:
    """Return the text of a Java property file (a backslash would start an escape)."""
    return "".join(f"{name}={_escape(value)}\n" for name, value in sorted(properties.items()))


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _chosen(settings: TestServerSettings) -> dict[str, str]:
    return {
        "num.partitions": str(settings.num_partitions),
        "log.cleanup.policy": settings.log_cleanup_policy,
        "log.index.size.max.bytes": str(settings.log_index_size_max_bytes),
    }


def _replication(brokers: int) -> dict[str, str]:
    copies = str(min(brokers, 3))
    in_sync = str(min(brokers, 2))
    return {
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
    }


def _zookeeper(member: Member, members: Sequence[Member], zookeeper_connect: str) -> dict[str, str]:
    listener = f"PLAINTEXT://{LOOPBACK}:{member.port}"
    return {
        **_ZOOKEEPER_MODE,
        "broker.id": str(member.broker_id),
        # The only broker has nobody to hand its partitions to.
        "controlled.shutdown.enable": "true" if len(members) > 1 else "false",
        "listeners": listener,
        "advertised.listeners": listener,
        "zookeeper.connect": zookeeper_connect,
    }


def _kraft(member: Member, members: Sequence[Member]) -> dict[str, str]:
    listener = f"PLAINTEXT://{LOOPBACK}:{member.port}"
    copies = _replication(len(members))
    return {
        **_KRAFT_MODE,
        "node.id": str(member.broker_id),
        "listeners": f"{listener},CONTROLLER://{LOOPBACK}:{member.controller_port}",
        "advertised.listeners": listener,
        "controller.quorum.voters": ",".join(f"{one.broker_id}@{LOOPBACK}:{one.controller_port}" for one in members),
        "share.coordinator.state.topic.replication.factor": copies["offsets.topic.replication.factor"],
        "share.coordinator.state.topic.min.isr": copies["transaction.state.log.min.isr"],
    }
