"""Where everything of one cluster will be: ports, directories, configuration files. Decided before anything starts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
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


@attrs.frozen(kw_only=True)
class Plan:
    """The places of one cluster.

    Attributes:
        mode: With ZooKeeper or without.
        settings: What the user asked for.
        directories: Work and data.
        members: The brokers.
        zookeeper_port: ZooKeeper's, 0 in KRaft mode.
    """

    mode: Mode
    settings: TestServerSettings
    directories: Directories
    members: Sequence[Member]
    zookeeper_port: int

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
        own = {port for member in self.members for port in (member.port, member.controller_port)}
        return frozenset(own | {self.zookeeper_port}) - {0}

    def broker_config(self, member: Member) -> Path:
        """A broker's configuration file."""
        return self.directories.work / f"broker-{member.broker_id}.properties"

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
            properties = broker_properties(self.settings, member, self.members, self.zookeeper_connect)
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
    free = iter(_ports.choose(2 * count + 1))
    members = [
        Member(
            broker_id=settings.broker_id + number,
            port=(settings.port if number == 0 and settings.port else next(free)),
            log_dirs=settings.log_dirs or directories.data / f"broker-{settings.broker_id + number}",
            controller_port=next(free) if request.mode is Mode.KRAFT else 0,
        )
        for number in range(count)
    ]
    zookeeper_port = settings.zookeeper_port or next(free)
    return Plan(
        mode=request.mode,
        settings=settings,
        directories=directories,
        members=members,
        zookeeper_port=zookeeper_port if request.mode is Mode.ZOOKEEPER else 0,
    )
