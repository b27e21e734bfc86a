"""Where everything of one cluster will be: ports, directories, configuration files. Decided before anything starts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path

import attrs

from kafka_persist_testkit import _ports
from kafka_persist_testkit._broker_config import Member, broker_properties, render, zookeeper_properties
from kafka_persist_testkit._storage import Directories
from kafka_persist_testkit.errors import InvalidSettings
from kafka_persist_testkit.modes import Mode
from kafka_persist_testkit.settings import TestServerSettings

from .base import Request

FIRST_CONTROLLER = 3000
"""How far the ids of controllers that are nothing else are from those of brokers."""


@attrs.frozen(kw_only=True)
class Plan:
    """The places of one cluster.

    Attributes:
        mode: With ZooKeeper or without.
        settings: What the user asked for.
        directories: Work and data.
        members: The brokers, then the controllers that are nothing else.
        zookeeper_port: ZooKeeper's, 0 in KRaft mode.
        security: What the clients' listener asks of clients.
    """

    mode: Mode
    settings: TestServerSettings
    directories: Directories
    members: Sequence[Member]
    zookeeper_port: int
    security: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    @property
    def brokers(self) -> list[Member]:
        """Those members that serve clients."""
        return [member for member in self.members if member.is_broker]

    @property
    def controllers(self) -> list[Member]:
        """Those members that are controllers and nothing else."""
        return [member for member in self.members if not member.is_broker]

    @property
    def bootstrap_servers(self) -> str:
        """Where clients reach the brokers."""
        return ",".join(f"{_ports.LOOPBACK}:{member.port}" for member in self.brokers)

    @property
    def own_servers(self) -> str:
        """Where the test server itself reaches the brokers, without security and proxies."""
        return ",".join(f"{_ports.LOOPBACK}:{member.own_port}" for member in self.brokers)

    @property
    def zookeeper_connect(self) -> str | None:
        """ZooKeeper's address, if there is one."""
        return f"{_ports.LOOPBACK}:{self.zookeeper_port}" if self.mode is Mode.ZOOKEEPER else None

    @property
    def zookeeper_dir(self) -> Path:
        """ZooKeeper's data."""
        return self.settings.zookeeper_dir or self.directories.data / "zookeeper"

    @property
    def has_zookeeper_data(self) -> bool:
        """Whether ZooKeeper will find what an earlier one knew."""
        return self.mode is Mode.ZOOKEEPER and (self.zookeeper_dir / "version-2").exists()

    @property
    def zookeeper_config(self) -> Path:
        """ZooKeeper's configuration file."""
        return self.directories.work / "zookeeper.properties"

    @property
    def ports(self) -> frozenset[int]:
        """Every port that a process of the cluster listens on."""
        own = {port for member in self.members for port in member.ports}
        return frozenset(own | {self.zookeeper_port}) - {0}

    def broker_config(self, member: Member) -> Path:
        """A broker's configuration file."""
        return self.directories.work / f"{member.name}.properties"

    def log_file(self, name: str) -> Path:
        """Where a process' output goes."""
        return self.directories.work / f"{name}.log"

    def logging_config(self, name: str) -> Path:
        """A logging configuration that this package ships, as a file that a JVM can read."""
        return self.directories.work / name

    @property
    def temporary(self) -> Path:
        """For the files that the JVMs make and forget."""
        return self.directories.work / "tmp"

    def write_files(self) -> None:
        """Make the directories and write the configuration files."""
        self.temporary.mkdir(exist_ok=True)
        for name in ("log4j.properties", "log4j2.properties"):
            source = resources.files("kafka_persist_testkit._engines") / "data" / name
            self.logging_config(name).write_text(source.read_text("utf-8"), "utf-8")
        for member in self.members:
            member.log_dirs.mkdir(mode=0o700, parents=True, exist_ok=True)
            properties = broker_properties(self.settings, member, self.members, self.zookeeper_connect, self.security)
            self.broker_config(member).write_text(render(properties), "utf-8")
        if self.mode is Mode.ZOOKEEPER:
            self.zookeeper_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            properties = zookeeper_properties(self.zookeeper_port, self.zookeeper_dir)
            self.zookeeper_config.write_text(render(properties), "utf-8")

    def remove_data(self) -> None:
        """Empty the data directories."""
        for directory in (self.zookeeper_dir, *(member.log_dirs for member in self.members)):
            shutil.rmtree(directory, ignore_errors=True)
        self.write_files()


def fixed_ports(settings: TestServerSettings, mode: Mode) -> frozenset[int]:
    """Return the ports that the user asked for by number."""
    asked = (settings.port, settings.zookeeper_port if mode is Mode.ZOOKEEPER else None)
    return frozenset(port for port in asked if port is not None)


def check_directories(request: Request) -> None:
    """Refuse directories that do not go with the number of brokers.

    Raises:
        InvalidSettings: Several brokers, one directory.
    """
    if request.brokers > 1 and request.settings.log_dirs is not None:
        raise InvalidSettings("kafka.log.dirs is for one broker; with several use data_dir")


def make_plan(request: Request, directories: Directories) -> Plan:
    """Choose ports and lay out the directories."""
    settings, count = request.settings, request.brokers
    kraft = request.mode is Mode.KRAFT
    free = iter(_ports.choose(6 * count + request.controllers + 1))
    brokers = [_broker(request, number, directories, free) for number in range(count)]
    controllers = [
        Member(
            broker_id=settings.broker_id + FIRST_CONTROLLER + number,
            port=0,
            log_dirs=directories.data / f"controller-{settings.broker_id + FIRST_CONTROLLER + number}",
            controller_port=next(free),
        )
        for number in range(request.controllers)
    ]
    zookeeper_port = settings.zookeeper_port or next(free)
    return Plan(
        mode=request.mode,
        settings=settings,
        directories=directories,
        members=[*brokers, *controllers],
        zookeeper_port=0 if kraft else zookeeper_port,
    )


def _broker(request: Request, number: int, directories: Directories, free: Iterator[int]) -> Member:
    settings = request.settings
    broker_id = settings.broker_id + number
    both = request.mode is Mode.KRAFT and not request.controllers  # its own controller, too
    peers = request.proxies and request.brokers > 1
    return Member(
        broker_id=broker_id,
        port=(settings.port if number == 0 and settings.port else next(free)),
        log_dirs=settings.log_dirs or directories.data / f"broker-{broker_id}",
        controller_port=next(free) if both else 0,
        internal_port=next(free) if request.security is not None or request.proxies else 0,
        listen_port=next(free) if request.proxies else 0,
        peers_port=next(free) if peers else 0,
        peers_listen_port=next(free) if peers else 0,
    )
