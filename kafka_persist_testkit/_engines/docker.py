"""The `docker` engine: the official image `apache/kafka`, one broker, KRaft. The only module that imports docker.

What of this has been run: the translation of settings, and the errors when there is no Docker engine. Starting a container has not
been run, because no Docker engine was at hand when this was written; prefer the java engine, which needs nothing but pip.

Two things differ from the java engine. A container is nobody's child: if the test process is killed with SIGKILL, the container
goes on, and `docker rm -f $(docker ps -q --filter label=kafka-persist-testkit)` removes it. And single brokers cannot be
controlled (`server.broker` raises).
"""

from __future__ import annotations

import contextlib
import gc
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kafka_persist_testkit import _ports
from kafka_persist_testkit._broker_config import Member, broker_properties, check_properties
from kafka_persist_testkit._probe import open_probe
from kafka_persist_testkit.errors import PortInUse, ServerFailed, ServerStateError, ServerUnavailable
from kafka_persist_testkit.modes import Mode

from .base import Cluster, Request

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

IMAGE = "apache/kafka"
_VERSION = "4.1.0"
_LABEL = "kafka-persist-testkit"
_CLIENTS, _CONTROLLERS = 9092, 9093
_DATA = Path("/var/lib/kafka/data")
_ATTEMPTS = 5
_PORT_TAKEN = "port is already allocated"
_ASK_FOR = 0.25


def start_docker(request: Request) -> DockerCluster:
    """Start a container and wait until its broker answers.

    Raises:
        ServerUnavailable: No Docker engine, no docker package, or something that the image cannot do.
        ServerFailed: The container ended, or did not answer in time.
    """
    _check(request)
    with contextlib.ExitStack() as on_failure:
        client = _connect()
        on_failure.callback(client.close)
        cluster = DockerCluster(request, client)
        on_failure.callback(cluster.stop)
        cluster.wait_until_ready()
        on_failure.pop_all()
    return cluster


def image_environment(properties: Mapping[str, str]) -> dict[str, str]:
    """Translate broker properties to what the image reads from its environment.

    Args:
        properties: By their names in Kafka's documentation.
    """
    replaced = str.maketrans({"_": "__", "-": "___", ".": "_"})
    return {f"KAFKA_{name.translate(replaced).upper()}": value for name, value in properties.items()}


def container_properties(request: Request, port: int) -> dict[str, str]:
    """The broker's properties inside the container.

    Args:
        request: What the user asked for.
        port: Where the container's clients reach it, on this machine.
    """
    settings = request.settings
    member = Member(broker_id=settings.broker_id, port=port, log_dirs=_DATA, controller_port=_CONTROLLERS)
    # Inside, the broker listens on every address of the container; outside, only the loopback address is published.
    return broker_properties(settings, member, [member], None) | {
        "listeners": f"PLAINTEXT://:{_CLIENTS},CONTROLLER://:{_CONTROLLERS}"
    }


def _check(request: Request) -> None:
    check_properties(request.settings.properties)
    if request.mode is not Mode.KRAFT:
        raise ServerUnavailable(f"the image {IMAGE} has no ZooKeeper: only mode='kraft' runs in it")
    if request.brokers != 1:
        raise ServerUnavailable("the docker engine starts one broker; engine='java' starts several")
    if request.settings.log_dirs is not None or request.data_dir is not None:
        raise ServerUnavailable("the docker engine keeps no data on this machine; engine='java' does")


def _connect() -> DockerClient:
    try:
        import docker
        from docker.errors import DockerException
    except ImportError as error:
        raise ServerUnavailable(f"the package {error.name} is not installed") from error
    with warnings.catch_warnings():
        # Where nobody answers the package drops its socket without closing it.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            client = docker.from_env()
            client.ping()
        except DockerException as error:
            reason = str(error)
        else:
            return client
        gc.collect()
    raise ServerUnavailable(f"no Docker engine answers ({reason})")


class DockerCluster(Cluster):
    """A container with one broker.

    Args:
        request: What the user asked for.
        client: The connection to the Docker engine, closed at the end.
    """

    engine = "docker"
    kafka_version = _VERSION

    def __init__(self, request: Request, client: DockerClient) -> None:
        self._request = request
        self._client = client
        self._stopped = False
        self._container, port = _run(request, client)
        self.bootstrap_servers = f"{_ports.LOOPBACK}:{port}"

    def wait_until_ready(self) -> None:
        """Ask until the broker answers.

        Raises:
            ServerFailed: The container ended, or did not answer in time.
        """
        deadline = time.monotonic() + self._request.startup_timeout
        with open_probe(self.bootstrap_servers) as probe:
            while not probe.brokers(_ASK_FOR):
                self._request.checkpoint()
                self.check()
                if time.monotonic() > deadline:
                    raise self._failure(f"did not answer within {self._request.startup_timeout:g} s")

    def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._container.remove(force=True, v=True)
            self._client.close()

    def restart(self, *, keep_data: bool) -> None:
        if not keep_data:
            raise ServerStateError("the docker engine restarts with its data only; a new TestServer has none")
        self._container.restart(timeout=int(self._request.stop_grace))
        self.wait_until_ready()

    def check(self) -> None:
        self._container.reload()
        if self._container.status in {"exited", "dead"}:
            raise self._failure("ended")

    def logs(self, tail: int) -> list[str]:
        text = self._container.logs(tail=tail).decode("utf-8", "replace")
        return [f"{self._container.name}: {line}" for line in text.splitlines()]

    def _failure(self, what: str) -> ServerFailed:
        tail = tuple(self.logs(25))
        lines = "".join(f"\n    {line}" for line in tail)
        return ServerFailed(f"the container {what}; last log lines:{lines}", process="container", log_tail=tail)


def _run(request: Request, client: DockerClient) -> tuple[Container, int]:
    """Start the container on a free port; if somebody else takes the port first, on another one."""
    from docker.errors import APIError

    asked = request.settings.port
    for port in [asked] if asked else _ports.choose(_ATTEMPTS):
        try:
            return _container(request, client, port), port
        except APIError as error:
            if _PORT_TAKEN not in str(error):
                raise ServerUnavailable(f"Docker cannot start {IMAGE}:{_VERSION} ({error})") from error
    raise PortInUse(f"port {asked} is taken by another process" if asked else "every port tried was taken")


def _container(request: Request, client: DockerClient, port: int) -> Container:
    return client.containers.run(
        f"{IMAGE}:{_VERSION}",
        detach=True,
        environment=image_environment(container_properties(request, port)),
        labels=[_LABEL],
        ports={f"{_CLIENTS}/tcp": (_ports.LOOPBACK, port)},
    )
