"""What every engine gives: a cluster that is up."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from kafka_persist_testkit._storage import Storage
from kafka_persist_testkit.modes import Mode
from kafka_persist_testkit.nodes import Broker, ZooKeeper
from kafka_persist_testkit.settings import TestServerSettings


def _go_on() -> None:
    """Do nothing: the checkpoint of those who cannot be cancelled."""


@attrs.frozen(kw_only=True)
class Request:
    """What a user asks of an engine.

    Attributes:
        mode: With ZooKeeper or without.
        settings: Ports, directories, broker properties.
        brokers: How many.
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
    kafka_home: Path | None
    data_dir: Path | None
    keep_data: bool
    storage: Storage
    java_options: tuple[str, ...]
    startup_timeout: float
    stop_grace: float
    checkpoint: Callable[[], None] = _go_on


class Cluster(abc.ABC):
    """Brokers that answer, until `stop`."""

    engine: str
    kafka_version: str
    bootstrap_servers: str
    zookeeper_connect: str | None = None
    data_dir: Path | None = None
    brokers: Sequence[Broker] = ()
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
