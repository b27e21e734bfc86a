"""The command lines of the Java programs: broker, ZooKeeper, and the one that formats a KRaft broker's directory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from kafka_persist_testkit._broker_config import Member
from kafka_persist_testkit.nodes import Launch

from .distribution import Distribution
from .plan import Plan

_JVM = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # these programs live for seconds: start quickly
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
)
_BROKER_HEAP = ("-Xms128m", "-Xmx384m")
_CONTROLLER_HEAP = ("-Xms64m", "-Xmx256m")
_ZOOKEEPER_OPTIONS = (
    "-Xmx128m",
    "-Dzookeeper.jmx.log4j.disable=true",
    # Test data need not survive a power failure, only a killed process: no fsync per change.
    "-Dzookeeper.forceSync=no",
    "-Dzookeeper.preAllocSize=1024",
)
# The user's options for their own Java programs would change heap and collector of ours.
_NOT_PASSED_ON = frozenset({"CLASSPATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"})


def zookeeper_launch(plan: Plan, distribution: Distribution) -> Launch:
    """How ZooKeeper is started."""
    main = ("org.apache.zookeeper.server.quorum.QuorumPeerMain", str(plan.zookeeper_config))
    return Launch(
        name="zookeeper",
        argv=[*_java(plan, distribution, _ZOOKEEPER_OPTIONS), *main],
        config_path=plan.zookeeper_config,
        log_path=plan.log_file("zookeeper"),
        port=plan.zookeeper_port,
        env=_environment(),
    )


def broker_launch(plan: Plan, distribution: Distribution, member: Member, java_options: Sequence[str]) -> Launch:
    """How a broker is started.

    Args:
        plan: Its cluster.
        distribution: Its Kafka and Java.
        member: Which broker.
        java_options: Further options for Java, stronger than ours.
    """
    config = plan.broker_config(member)
    heap = _BROKER_HEAP if member.is_broker else _CONTROLLER_HEAP
    options = (*heap, *java_options)
    return Launch(
        name=member.name,
        argv=[*_java(plan, distribution, options), "kafka.Kafka", str(config)],
        config_path=config,
        log_path=plan.log_file(member.name),
        port=member.port or member.controller_port,
        env=_environment(),
    )


def format_launch(plan: Plan, distribution: Distribution, member: Member, cluster_id: str) -> Launch:
    """How a KRaft broker's directory is formatted."""
    config = plan.broker_config(member)
    name = f"format-{member.name}"
    arguments = ("kafka.tools.StorageTool", "format", "--cluster-id", cluster_id, "--config", str(config))
    return Launch(
        name=name,
        argv=[*_java(plan, distribution, ("-Xmx128m",)), *arguments],
        config_path=config,
        log_path=plan.log_file(name),
        port=0,
        env=_environment(),
    )


def _java(plan: Plan, distribution: Distribution, options: Sequence[str]) -> list[str]:
    return [
        str(distribution.java),
        *_JVM,
        f"-Djava.io.tmpdir={plan.temporary}",
        *_logging(plan, distribution),
        *options,
        "-cp",
        os.pathsep.join(map(str, distribution.jars)),
    ]


def _logging(plan: Plan, distribution: Distribution) -> Sequence[str]:
    """Kafka 4 logs with Log4j 2, everything before with Log4j 1's successor."""
    if distribution.major >= 4:
        return (f"-Dlog4j2.configurationFile={_uri(plan.logging_config('log4j2.properties'))}",)
    return (f"-Dlog4j.configuration={_uri(plan.logging_config('log4j.properties'))}",)


def _uri(path: Path) -> str:
    return path.as_uri()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
