"""A Kafka to run: the installation at KAFKA_HOME, else the pinned jars; and the Java for it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import attrs

from kafka_persist_testkit._java import find_java
from kafka_persist_testkit.errors import ServerUnavailable
from kafka_persist_testkit.modes import Mode

from .jars import classpath

HOME_VARIABLE = "KAFKA_HOME"
_PINNED = {Mode.ZOOKEEPER: "3.9.1", Mode.KRAFT: "4.1.0"}
_MINIMUM_JAVA = {Mode.ZOOKEEPER: 11, Mode.KRAFT: 17}
_CORE_JAR = re.compile(r"kafka_2\.\d+-(\d+\.\d+[^-]*)\.jar")


@attrs.frozen
class Distribution:
    """What is needed to start Kafka's processes.

    Attributes:
        kafka_version: For example `3.9.1`.
        java: The `java` program.
        jars: The class path.
    """

    kafka_version: str
    java: Path
    jars: list[Path] = attrs.field(repr=False)

    @property
    def major(self) -> int:
        """The first number of the version."""
        return int(self.kafka_version.split(".", 1)[0])


def find_distribution(mode: Mode, kafka_home: Path | None) -> Distribution:
    """Find a Kafka for the mode, fetching the pinned jars if need be.

    Args:
        mode: With ZooKeeper or without.
        kafka_home: An installation to use; None looks at `KAFKA_HOME`.

    Raises:
        ServerUnavailable: There is none, or its version cannot do the mode, or there is no Java for it.
    """
    java = find_java(_MINIMUM_JAVA[mode])
    home = kafka_home or _home_from_environment()
    if home is None:
        return Distribution(_PINNED[mode], java, classpath(_PINNED[mode]))
    return _installed(home, mode, java)


def _home_from_environment() -> Path | None:
    value = os.environ.get(HOME_VARIABLE)
    return Path(value).expanduser() if value else None


def _installed(home: Path, mode: Mode, java: Path) -> Distribution:
    jars = sorted((home / "libs").glob("*.jar"))
    versions = [match[1] for jar in jars if (match := _CORE_JAR.fullmatch(jar.name))]
    if not versions:
        raise ServerUnavailable(f"{HOME_VARIABLE}={home} is no Kafka installation (no libs/kafka_2.13-<version>.jar)")
    found = Distribution(versions[0], java, jars)
    if mode is Mode.ZOOKEEPER and found.major >= 4:
        raise ServerUnavailable(
            f"Kafka {found.kafka_version} in {HOME_VARIABLE} has no ZooKeeper mode: use mode='kraft', or a Kafka 3.9"
        )
    return found
