"""The `docker` engine: the official image `apache/kafka`, one broker, KRaft. The only module that imports docker.

A container is nobody's child, so nothing would end it if the test process were killed. Hence its shell reads the standard input that
this process holds open: when the input ends, by whatever death of this process, the shell ends the broker, and Docker removes
the container. A broker that ends by itself is waited with, so that its last words can be read.

The container uses this machine's network where it can, so that the broker listens on one port of the loopback address, as with
the java engine. Where Docker runs in a machine of its own (Docker Desktop, rootless Docker) the port is published instead.
Single brokers cannot be controlled (`server.broker` raises).
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kafka_persist_testkit import _ports
from kafka_persist_testkit._broker_config import Member, broker_properties, check_properties
from kafka_persist_testkit._probe import open_probe
from kafka_persist_testkit.errors import PortInUse, ServerFailed, ServerStateError, ServerUnavailable
from kafka_persist_testkit.modes import Mode

from .base import Cluster, Request
from .kraft import new_id

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

IMAGE = "apache/kafka"
_VERSION = "4.1.0"
# The digest of the list for all processors, as pulled by several projects that name it beside the tag 4.1.0.
_PINNED = f"{IMAGE}@sha256:bff074a5d0051dbc0bbbcd25b045bb1fe84833ec0d3c7c965d1797dd289ec88f"
IMAGE_VARIABLE = "KAFKA_PERSIST_TEST_DOCKER_IMAGE"
_LABEL = "kafka-persist-testkit"
_CLIENTS, _CONTROLLERS = 9092, 9093
_DATA = Path("/var/lib/kafka/data")
_HEAP = "-Xms128m -Xmx384m"
_JVM = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData"  # as with the java engine: it lives for seconds
_ATTEMPTS = 5
_PORT_TAKEN = "port is already allocated"
_ASK_FOR = 0.25
_ENDED = "kafka-persist-testkit: the broker ended with exit code"
# Descriptor 3 keeps the standard input: a shell gives /dev/null to what it runs in the background.
_SHELL = f"""\
exec 3<&0
/etc/kafka/docker/run </dev/null & broker=$!
trap 'asked=yes; kill -TERM $broker' TERM
(cat <&3 >/dev/null; kill -KILL $broker) &
while :; do wait $broker; code=$?; kill -0 $broker 2>/dev/null || break; done
[ "$asked" ] || {{ echo "{_ENDED} $code"; wait; }}
"""


def start_docker(request: Request) -> DockerCluster:
    """Start a container and wait until its broker answers.

    Raises:
        ServerUnavailable: No Docker engine, no docker package, or something that the image cannot do.
        PortInUse: A port that was asked for by number is taken.
        ServerFailed: The broker ended, or did not answer in time.
    """
    _check(request)
    with contextlib.ExitStack() as on_failure:
        client = _connect()
        on_failure.callback(client.close)
        shares = _shares_network(client)
        cluster = _first_on_free_ports(request, client, shares=shares)
        on_failure.pop_all()
    return cluster


def image_environment(properties: Mapping[str, str]) -> dict[str, str]:
    """Translate broker properties to what the image reads from its environment.

    Args:
        properties: By their names in Kafka's documentation.
    """
    replaced = str.maketrans({"_": "__", "-": "___", ".": "_"})
    return {f"KAFKA_{name.translate(replaced).upper()}": value for name, value in properties.items()}


def container_properties(request: Request, port: int, controller_port: int | None) -> dict[str, str]:
    """The broker's properties inside the container.

    Args:
        request: What the user asked for.
        port: Where the container's clients reach it, on this machine.
        controller_port: Where its controller listens, if it shares this machine's network; None: it has a network of its own.
    """
    settings = request.settings
    member = Member(
        broker_id=settings.broker_id, port=port, log_dirs=_DATA, controller_port=controller_port or _CONTROLLERS
    )
    found = broker_properties(settings, member, [member], None)
    if controller_port is None:
        # Inside, the broker listens on every address of the container; outside, only the loopback address is published.
        found["listeners"] = f"PLAINTEXT://:{_CLIENTS},CONTROLLER://:{_CONTROLLERS}"
    return found


def image_name() -> str:
    """The image: the pinned one, or what `KAFKA_PERSIST_TEST_DOCKER_IMAGE` names."""
    return os.environ.get(IMAGE_VARIABLE) or _PINNED


def image_version(image: str) -> str:
    """The version of Kafka in an image, as far as its name tells it."""
    match = re.search(r":(\d+\.\d+\.\d+)", image)
    return _VERSION if image == _PINNED else match[1] if match else "unknown"


def _check(request: Request) -> None:
    check_properties(request.settings.properties)
    if request.mode is not Mode.KRAFT:
        raise ServerUnavailable(f"the image {IMAGE} has no ZooKeeper: only mode='kraft' runs in it")
    if request.brokers != 1 or request.controllers:
        raise ServerUnavailable("the docker engine starts one broker; engine='java' starts several, and controllers")
    if request.security is not None or request.proxies:
        raise ServerUnavailable("the docker engine has neither security nor proxies; engine='java' has both")
    if request.settings.log_dirs is not None or request.data_dir is not None or request.keep_data:
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


def _shares_network(client: DockerClient) -> bool:
    """Whether containers can use this machine's network.

    Raises:
        ServerUnavailable: The engine is on another machine, whose ports are out of reach.
    """
    address = urlsplit(client.api.base_url)
    if address.scheme == "http+docker":  # a Unix socket
        about = client.info()
        return about.get("OperatingSystem") != "Docker Desktop" and "rootless" not in str(about.get("SecurityOptions"))
    if address.hostname not in {"localhost", "127.0.0.1", "::1"}:
        raise ServerUnavailable(
            f"the Docker engine is on another machine ({address.netloc}), where nothing on the loopback address can be "
            "reached from here: start Kafka there, and use engine='external'"
        )
    return False


def _first_on_free_ports(request: Request, client: DockerClient, *, shares: bool) -> DockerCluster:
    """Start on a free port; if somebody else takes the port first, on another one."""
    asked = request.settings.port
    if asked and not _ports.is_free(asked):
        raise PortInUse(f"port {asked} is taken by another process; port=None chooses a free one")
    for _ in range(_ATTEMPTS):
        port, controller_port = _ports.choose(2)
        try:
            cluster = DockerCluster(request, client, asked or port, controller_port if shares else None)
        except PortInUse:
            continue
        try:
            cluster.wait_until_ready()
        except ServerFailed:
            cluster.remove()
            if all(map(_ports.is_free, cluster.ports)):
                raise
        except BaseException:
            cluster.remove()
            raise
        else:
            return cluster
    raise PortInUse(f"port {asked} is taken by another process" if asked else "every port tried was taken")


class DockerCluster(Cluster):
    """A container with one broker.

    Args:
        request: What the user asked for.
        client: The connection to the Docker engine, closed at the end.
        port: For clients, on this machine.
        controller_port: For the controller, if the container shares this machine's network.

    Raises:
        ServerUnavailable: The image cannot be had, or Docker cannot start it.
        PortInUse: The port has been taken by somebody else.
    """

    engine = "docker"

    def __init__(self, request: Request, client: DockerClient, port: int, controller_port: int | None) -> None:
        self._request = request
        self._client = client
        self._stopped = False
        self.kafka_version = image_version(image_name())
        self.bootstrap_servers = f"{_ports.LOOPBACK}:{port}"
        self.ports = {port, controller_port or port}
        self._container = _create(client, _arguments(request, port, controller_port))
        self._lifeline: Any = None
        try:
            self._hold()
            _start(self._container)
        except BaseException:
            self.remove()
            raise

    def _hold(self) -> None:
        """Hold the container's standard input open: it ends when that does."""
        self._let_go()
        self._lifeline = self._container.attach_socket(params={"stdin": 1, "stream": 1})

    def _let_go(self) -> None:
        if self._lifeline is not None:
            self._lifeline._response.close()  # noqa: SLF001 - only there the package keeps the connection
            self._lifeline.close()
            self._lifeline = None

    def wait_until_ready(self) -> None:
        """Ask until the broker answers.

        Raises:
            ServerFailed: The broker ended, or did not answer in time.
        """
        deadline = time.monotonic() + self._request.startup_timeout
        with open_probe(self.bootstrap_servers) as probe:
            while not probe.has_settled(self._request.settings.broker_id, 0, _ASK_FOR):
                self._request.checkpoint()
                self.check()
                if time.monotonic() > deadline:
                    limit = f"did not answer within {self._request.startup_timeout:g} s"
                    raise self._failure(f"{limit} (startup_timeout raises the limit)")

    def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            self.remove()
            self._client.close()

    def remove(self) -> None:
        """Remove the container, running or not; the connection to Docker stays."""
        from docker.errors import APIError

        with contextlib.suppress(APIError):  # it is gone, or about to be
            self._container.remove(force=True, v=True)
        self._let_go()

    def restart(self, *, keep_data: bool) -> None:
        if not keep_data:
            raise ServerStateError("the docker engine restarts with its data only; a new TestServer has none")
        self._container.restart(timeout=max(1, round(self._request.stop_grace)))
        self._hold()
        self.wait_until_ready()

    def check(self) -> None:
        from docker.errors import NotFound

        try:
            self._container.reload()
        except NotFound:
            raise ServerFailed("the container was removed by somebody else", process="container") from None
        ended = [line for line in self._lines(5) if line.startswith(_ENDED)]
        if ended:
            raise self._failure(f"ended with exit code {ended[-1].removeprefix(_ENDED).strip()}")
        if self._container.status in {"exited", "dead"}:
            raise self._failure("ended")

    def logs(self, tail: int) -> list[str]:
        return [f"{self._container.name}: {line}" for line in self._lines(tail)]

    def _lines(self, tail: int) -> list[str]:
        text: bytes = self._container.logs(tail=tail)
        return text.decode("utf-8", "replace").splitlines()

    def _failure(self, what: str) -> ServerFailed:
        tail = tuple(self._lines(25))
        lines = "".join(f"\n    {line}" for line in tail)
        code = re.search(r"exit code (-?\d+)", what)
        return ServerFailed(
            f"the container's broker {what}; last log lines:{lines}",
            process="container",
            exit_code=int(code[1]) if code else None,
            log_tail=tail,
        )


def _arguments(request: Request, port: int, controller_port: int | None) -> dict[str, Any]:
    """What the container is made with."""
    variables = {
        **image_environment(container_properties(request, port, controller_port)),
        "CLUSTER_ID": new_id(),
        "KAFKA_HEAP_OPTS": _HEAP,
        "KAFKA_JVM_PERFORMANCE_OPTS": _JVM,
        "KAFKA_OPTS": " ".join(request.java_options),
    }
    arguments: dict[str, Any] = {
        "image": image_name(),
        "command": ["/bin/sh", "-c", _SHELL],
        "environment": variables,
        "labels": [_LABEL],
        "stdin_open": True,
        "auto_remove": True,
    }
    if controller_port is None:
        return {**arguments, "ports": {f"{_CLIENTS}/tcp": (_ports.LOOPBACK, port)}}
    return {**arguments, "network_mode": "host"}


def _create(client: DockerClient, arguments: dict[str, Any]) -> Container:
    """Make the container, pulling the image if it is not there."""
    from docker.errors import DockerException, ImageNotFound

    image = arguments["image"]
    try:
        try:
            return client.containers.create(**arguments)
        except ImageNotFound:
            client.images.pull(image)
            return client.containers.create(**arguments)
    except DockerException as error:
        raise ServerUnavailable(f"Docker cannot make a container of {image} ({error})") from error


def _start(container: Container) -> None:
    from docker.errors import APIError

    try:
        container.start()
    except APIError as error:
        if _PORT_TAKEN in str(error):
            raise PortInUse("a port was taken by another process") from error
        raise ServerUnavailable(f"Docker cannot start the container ({error})") from error
