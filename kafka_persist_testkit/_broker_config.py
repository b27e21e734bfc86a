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
        "authorizer.class.name",
        "controller.listener.names",
        "controller.quorum.bootstrap.servers",
        "controller.quorum.voters",
        "inter.broker.listener.name",
        "listener.security.protocol.map",
        "listeners",
        "log.dir",
        "log.dirs",
        "metadata.log.dir",
        "node.id",
        "port",
        "process.roles",
        "super.users",
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

CLIENTS, INTERNAL, PEERS, CONTROLLER = "CLIENTS", "INTERNAL", "PEERS", "CONTROLLER"

_ZOOKEEPER_MODE = {
    # How long the others wait before they take over from a dead broker.
    "zookeeper.session.timeout.ms": "6000",
    "zookeeper.connection.timeout.ms": "60000",
}

_KRAFT_MODE = {
    "controller.listener.names": CONTROLLER,
    # How long a killed broker's own successor is kept waiting.
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "share.coordinator.state.topic.num.partitions": "4",
}


@attrs.frozen(kw_only=True)
class Member:
    """One broker or controller of a cluster, and the ports of its listeners (0: it has no such listener).

    Attributes:
        broker_id: Its id.
        port: Where clients reach it; through the proxy, if there is one. 0 for a controller alone.
        log_dirs: Its data.
        controller_port: Where it listens as a controller (KRaft); 0 if it is none.
        internal_port: Where the test server itself and, if they have no proxy, other brokers reach it, always without
            security. 0: at `port`, for then there is only one listener.
        peers_port: Where other brokers reach it through their proxy.
        listen_port: Where the clients' listener is, behind its proxy; 0 without a proxy.
        peers_listen_port: Where the other brokers' listener is, behind its proxy.
    """

    broker_id: int
    port: int
    log_dirs: Path
    controller_port: int = 0
    internal_port: int = 0
    peers_port: int = 0
    listen_port: int = 0
    peers_listen_port: int = 0

    @property
    def is_broker(self) -> bool:
        """Whether it serves clients; a controller alone does not."""
        return self.port != 0

    @property
    def name(self) -> str:
        """What messages and files call it."""
        return f"{'broker' if self.is_broker else 'controller'}-{self.broker_id}"

    @property
    def own_port(self) -> int:
        """Where the test server reaches it."""
        return self.internal_port or self.port or self.controller_port

    @property
    def ports(self) -> frozenset[int]:
        """Every port of its process."""
        clients = self.listen_port or self.port
        peers = self.peers_listen_port or self.peers_port
        return frozenset({clients, peers, self.controller_port, self.internal_port}) - {0}


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
    settings: TestServerSettings,
    member: Member,
    members: Sequence[Member],
    zookeeper_connect: str | None,
    security: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """One process' configuration.

    Args:
        settings: What the user asked for.
        member: The broker or controller.
        members: All of its cluster.
        zookeeper_connect: ZooKeeper's address, None for KRaft.
        security: What the clients' listener asks of clients, and who may do what; with `security.protocol` of that listener.
    """
    secured = dict(security or {})
    protocol = secured.pop("security.protocol", "PLAINTEXT")
    brokers = sum(one.is_broker for one in members)
    common = _listeners(member, protocol) | secured
    mode = _kraft(member, members) if zookeeper_connect is None else _zookeeper(member, brokers, zookeeper_connect)
    return {**_BROKER, **_replication(brokers), **_chosen(settings), **common, **mode, **settings.properties} | {
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


def _listeners(member: Member, protocol: str) -> dict[str, str]:
    """Where a process listens, and what it tells others about it.

    A cluster without security and proxies has one listener, PLAINTEXT, as Kafka has it by default. Otherwise there are two or
    three: the clients' own one, an internal one that asks for nothing, and one for other brokers if they have a proxy.
    """
    several = member.internal_port != 0
    clients, internal = (CLIENTS, INTERNAL) if several else ("PLAINTEXT", "PLAINTEXT")
    listening: list[tuple[str, int]] = []
    told: list[tuple[str, int]] = []
    if member.is_broker:
        listening.append((clients, member.listen_port or member.port))
        told.append((clients, member.port))
        if several:
            listening.append((internal, member.internal_port))
            told.append((internal, member.internal_port))
        if member.peers_port:
            listening.append((PEERS, member.peers_listen_port))
            told.append((PEERS, member.peers_port))
    if member.controller_port:
        listening.append((CONTROLLER, member.controller_port))
    protocols = {clients: protocol, internal: "PLAINTEXT"} | dict.fromkeys((PEERS, CONTROLLER), "PLAINTEXT")
    found = {
        "listeners": _addresses(listening),
        "listener.security.protocol.map": ",".join(f"{name}:{protocols[name]}" for name in protocols),
        "inter.broker.listener.name": PEERS if member.peers_port else internal,
    }
    if not member.is_broker:
        del found["inter.broker.listener.name"]
    return found | ({"advertised.listeners": _addresses(told)} if told else {})


def _addresses(places: Sequence[tuple[str, int]]) -> str:
    return ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in places)


def _zookeeper(member: Member, brokers: int, zookeeper_connect: str) -> dict[str, str]:
    return {
        **_ZOOKEEPER_MODE,
        "broker.id": str(member.broker_id),
        # The only broker has nobody to hand its partitions to.
        "controlled.shutdown.enable": "true" if brokers > 1 else "false",
        "zookeeper.connect": zookeeper_connect,
    }


def _kraft(member: Member, members: Sequence[Member]) -> dict[str, str]:
    copies = _replication(sum(one.is_broker for one in members))
    voters = (one for one in members if one.controller_port)
    roles = [role for role, plays in (("broker", member.is_broker), ("controller", member.controller_port)) if plays]
    return {
        **_KRAFT_MODE,
        "node.id": str(member.broker_id),
        "process.roles": ",".join(roles),
        "controller.quorum.voters": ",".join(f"{one.broker_id}@{LOOPBACK}:{one.controller_port}" for one in voters),
        "share.coordinator.state.topic.replication.factor": copies["offsets.topic.replication.factor"],
        "share.coordinator.state.topic.min.isr": copies["transaction.state.log.min.isr"],
    }
