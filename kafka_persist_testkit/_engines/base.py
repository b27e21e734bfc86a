"""What every engine gives: a cluster that is up."""

from __future__ import annotations

import abc
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from kafka_persist_testkit._guard import Guard
from kafka_persist_testkit._partition import PartitionState
from kafka_persist_testkit._storage import Storage
from kafka_persist_testkit.errors import ServerStateError
from kafka_persist_testkit.modes import Mode
from kafka_persist_testkit.nodes import Broker, Controller, ZooKeeper
from kafka_persist_testkit.security import Security
from kafka_persist_testkit.settings import TestServerSettings

BOOTSTRAP_VARIABLE = "KAFKA_PERSIST_TEST_BOOTSTRAP"
ZOOKEEPER_VARIABLE = "KAFKA_PERSIST_TEST_ZOOKEEPER"
_ASK_FOR = 1.0


def is_external(engine: str, bootstrap_servers: str | None) -> bool:
    """Whether somebody else's cluster is to be used."""
    return engine == "external" or (engine == "auto" and bool(bootstrap_servers or os.environ.get(BOOTSTRAP_VARIABLE)))


def go_on() -> None:
    """Do nothing: the checkpoint of those who cannot be cancelled."""


@attrs.frozen(kw_only=True)
class Request:
    """What a user asks of an engine.

    Attributes:
        mode: With ZooKeeper or without.
        settings: Ports, directories, broker properties.
        brokers: How many.
        controllers: How many processes that are controllers and nothing else (KRaft); 0: the brokers are.
        security: What clients have to show; None asks for nothing.
        proxies: Whether a proxy stands before each listener.
        kafka_home: A Kafka installation; None looks at `KAFKA_HOME`, then takes the pinned jars.
        data_dir: Keep everything there; None uses private directories.
        keep_data: Do not remove the private directories.
        storage: Where private data goes.
        java_options: Further options for the brokers' Java.
        startup_timeout: Seconds until everything must answer.
        stop_grace: Seconds that a process gets to end by itself.
        checkpoint: Called again and again while the start waits; what it raises ends the start.
    """

    mode: Mode
    settings: TestServerSettings
    brokers: int
    controllers: int = 0
    security: Security | None = None
    proxies: bool = False
    kafka_home: Path | None
    data_dir: Path | None
    keep_data: bool
    storage: Storage
    java_options: tuple[str, ...]
    startup_timeout: float
    stop_grace: float
    checkpoint: Callable[[], None] = attrs.field(default=go_on, repr=False)


class Cluster(abc.ABC):
    """Brokers that answer, until `stop`.

    Attributes:
        own_servers: Where the test server itself reaches the brokers; None: where clients do.
        brokers: Those that can be controlled.
        controllers: The processes that are controllers and nothing else.
    """

    engine: str
    kafka_version: str
    bootstrap_servers: str
    zookeeper_connect: str | None = None
    data_dir: Path | None = None
    own_servers: str | None = None
    brokers: Sequence[Broker] = ()
    controllers: Sequence[Controller] = ()
    zookeeper: ZooKeeper | None = None

    @abc.abstractmethod
    def stop(self) -> None:
        """End everything that was started; idempotent."""

    @abc.abstractmethod
    def restart(self, *, keep_data: bool) -> None:
        """Stop everything and start it again, at the same addresses.

        Args:
            keep_data: Whether the new processes find the data of the old ones.
        """

    @abc.abstractmethod
    def check(self) -> None:
        """Raise if something that should run does not.

        Raises:
            ServerFailed: With what is known about it.
        """

    @abc.abstractmethod
    def logs(self, tail: int) -> list[str]:
        """Return the last log lines, each after the name of its process.

        Args:
            tail: How many of each process.
        """

    def active_controller(self) -> int:
        """Return the id of the node that decides for the others at the moment; -1 if there is none."""
        from kafka_persist_testkit._probe import open_probe  # not before a server is asked for

        with open_probe(self.own_servers or self.bootstrap_servers) as probe:
            return probe.controller()

    def partition_states(self, topic: str | None = None) -> list[PartitionState] | None:
        """Return what is decided about a topic's partitions, or about those of all topics; None if nobody can be asked now.

        Args:
            topic: Whose; None: of all.
        """
        from kafka_persist_testkit._probe import open_probe

        # A client for this question alone: it would stay with the broker that it asked first, which may be cut off by now.
        with open_probe(self.own_servers or self.bootstrap_servers) as probe:
            return probe.partition_states(_ASK_FOR, topic)

    @property
    def guard(self) -> Guard:
        """Certificates, passwords and tokens.

        Raises:
            ServerStateError: There are none.
        """
        raise ServerStateError(f"the {self.engine} engine has no security of its own")

    def client_config(self, user: str | None, mechanism: str | None) -> dict[str, str]:
        """Return what a client of this user needs.

        Raises:
            ServerStateError: The cluster knows no users.
        """
        if user is not None or mechanism is not None:
            raise ServerStateError("this server has no users: TestServer(security=Security(...)) does")
        return {"bootstrap.servers": self.bootstrap_servers}
