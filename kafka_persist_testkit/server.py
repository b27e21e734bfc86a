"""`TestServer`: a real Kafka for tests and trials, up before the block and gone after it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, get_args

import attrs

from ._engines.base import Cluster, Request, is_external
from ._operations import Operations
from ._storage import Storage
from .errors import InvalidSettings, ServerStateError
from .modes import Mode
from .nodes import Broker, Controller, ZooKeeper
from .security import Security
from .settings import TestServerSettings

if TYPE_CHECKING:
    from ._certificates import Certificates
    from ._issuer import Issuer

Engine = Literal["auto", "java", "docker", "external"]

_Word = TypeVar("_Word", bound=str)

TIMEOUT_VARIABLE = "KAFKA_PERSIST_TEST_STARTUP_TIMEOUT"
_STARTUP_TIMEOUT = 60.0


class TestServer(Operations):
    """A real Kafka, with ZooKeeper or without, on this machine.

    Use it as a context manager, or as in akka-persistence-kafka with `start()` and `stop()`. It blocks, so that pytest
    fixtures of session scope can use it; in Trio programs `open_test_server` keeps it off the event loop.

    Args:
        mode: `zookeeper` (Kafka 3.9 and ZooKeeper) or `kraft` (Kafka 4).
        brokers: How many brokers.
        controllers: KRaft: how many processes that are controllers and nothing else, to be killed and started like brokers;
            0: each broker is one.
        security: What clients have to show; None asks for nothing.
        proxies: Put a proxy before each broker, and with several brokers another one for the other brokers: `broker.proxy`
            and `broker.peers_proxy` make network faults on purpose.
        engine: `java`, `docker`, `external`, or `auto`: the first of external (if its variable is set), java,
            docker that can be had.
        settings: Ports, directories and broker properties: settings, or a mapping of the `test-server.*` keys.
        properties: Further broker properties, stronger than those in `settings`.
        topics: Topics to create at the start, one partition each.
        kafka_home: A Kafka installation to run; None looks at `KAFKA_HOME`, then takes pinned jars.
        data_dir: A directory for everything, kept at the end; None uses private ones, removed at the end.
        keep_data: Keep the private directories, to look into them.
        storage: Where private data goes: `memory`, `disk` or `auto` (memory if there is room).
        java_options: Further options for the brokers' Java, for example `["-Xmx1g"]`.
        startup_timeout: Seconds until everything must answer; None takes `KAFKA_PERSIST_TEST_STARTUP_TIMEOUT` or 60.
        stop_grace: Seconds that a process gets to end by itself before it is killed.
        bootstrap_servers: The brokers of the external engine; None takes `KAFKA_PERSIST_TEST_BOOTSTRAP`.
        zookeeper_connect: The ZooKeeper of the external engine; None takes `KAFKA_PERSIST_TEST_ZOOKEEPER`.
        shared: Share the server with other processes of this user that give the same name and the same arguments: the first
            one starts it, and it ends when nobody has used it for 10 seconds (with the name `reuse` 10 minutes). It can be used
            as any other, but not stopped, restarted or taken apart.

    Raises:
        InvalidSettings: An argument cannot be.
    """

    __test__ = False  # its name starts with "Test": not for pytest to collect

    def __init__(
        self,
        mode: Mode | str = Mode.ZOOKEEPER,
        *,
        brokers: int = 1,
        controllers: int = 0,
        security: Security | None = None,
        proxies: bool = False,
        engine: Engine = "auto",
        settings: TestServerSettings | Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        topics: Sequence[str] = (),
        kafka_home: Path | str | None = None,
        data_dir: Path | str | None = None,
        keep_data: bool = False,
        storage: Storage = "auto",
        java_options: Sequence[str] = (),
        startup_timeout: float | None = None,
        stop_grace: float = 5.0,
        bootstrap_servers: str | None = None,
        zookeeper_connect: str | None = None,
        shared: str | None = None,
    ) -> None:
        self._request = Request(
            mode=_mode(mode),
            settings=_settings(settings).with_properties(properties or {}),
            brokers=_at_least_one(brokers),
            controllers=_controllers(controllers, mode),
            security=security,
            proxies=proxies,
            kafka_home=_path(kafka_home),
            data_dir=_path(data_dir),
            keep_data=keep_data,
            storage=_one_of("storage", storage, get_args(Storage)),
            java_options=tuple(java_options),
            startup_timeout=_timeout(startup_timeout),
            stop_grace=stop_grace,
        )
        self._engine = _one_of("engine", engine, get_args(Engine))
        self._topics = tuple(topics)
        self._external = (bootstrap_servers, zookeeper_connect)
        self._shared = shared
        self._cluster: Cluster | None = None

    def __repr__(self) -> str:
        if self._cluster is None:
            return f"<TestServer {self.mode} down>"
        return f"<TestServer {self.mode} {self._cluster.engine} up at {self._cluster.bootstrap_servers}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and wait until it answers.

        Raises:
            ServerUnavailable: No engine can give a server; the message names every way to get one.
            ServerFailed: A process ended, or did not answer in time.
            ServerStateError: It is started already.
        """
        self.start_with(lambda: None)

    def start_with(self, checkpoint: Callable[[], None]) -> None:
        """Start as `start` does, giving up when `checkpoint` raises.

        Args:
            checkpoint: Called again and again while the start waits.
        """
        if self._cluster is not None:
            raise ServerStateError("this server is started already")
        request = attrs.evolve(self._request, checkpoint=checkpoint)
        if self._shared is None or is_external(self._engine, self._external[0]):
            from ._engines.choice import start_cluster

            self._cluster = start_cluster(request, self._engine, *self._external)
        else:
            from ._engines.kept import find_or_start

            self._cluster = find_or_start(request, self._engine, self._shared)
        try:
            self.create_topics(*self._topics)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything: brokers, then ZooKeeper; what does not end soon is killed. Idempotent."""
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.stop()

    def restart(self, *, keep_data: bool = True) -> None:
        """Stop everything and start it again, at the same addresses.

        Args:
            keep_data: Whether the new brokers find the topics of the old ones.

        Raises:
            ServerStateError: It is not started, or its engine cannot do this.
            ServerFailed: A process ended, or did not answer in time.
        """
        self._up.restart(keep_data=keep_data)

    @property
    def mode(self) -> Mode:
        """With ZooKeeper or without."""
        return self._request.mode

    @property
    def engine(self) -> str:
        """Which engine runs it: `java`, `docker` or `external`."""
        return self._up.engine

    @property
    def kafka_version(self) -> str:
        """The version of Kafka, for example `3.9.1`."""
        return self._up.kafka_version

    @property
    def bootstrap_servers(self) -> str:
        """The brokers' addresses, comma separated."""
        return self._up.bootstrap_servers

    @property
    def zookeeper_connect(self) -> str | None:
        """ZooKeeper's address; None if there is no ZooKeeper."""
        return self._up.zookeeper_connect

    @property
    def data_dir(self) -> Path | None:
        """Where the data lies, if it is on this machine."""
        return self._up.data_dir

    @property
    def brokers(self) -> Sequence[Broker]:
        """The brokers, to kill, stop, pause, resume and start one by one.

        Raises:
            ServerStateError: The engine does not run the brokers itself.
        """
        if not self._up.brokers:
            raise ServerStateError(
                f"the {self._up.engine} engine has no control over single brokers: use engine='java'"
            )
        return self._up.brokers

    @property
    def broker(self) -> Broker:
        """The only (or first) broker."""
        return self.brokers[0]

    @property
    def zookeeper(self) -> ZooKeeper:
        """ZooKeeper, to kill, stop, pause, resume and start.

        Raises:
            ServerStateError: There is none, or the engine does not run it itself.
        """
        if self._up.zookeeper is None:
            raise ServerStateError(f"no ZooKeeper to control: mode {self.mode}, engine {self._up.engine}")
        return self._up.zookeeper

    def check(self) -> None:
        """Raise if one of its processes is not there.

        Raises:
            ServerFailed: With the exit code and the last log lines of the process.
            ServerStateError: It is not started.
        """
        self._up.check()

    def client_config(self, user: str | None = None, *, mechanism: str | None = None) -> dict[str, str]:
        """Return what a librdkafka client needs to reach this server.

        Args:
            user: As whom, on a server with security; None is the super user.
            mechanism: Which SASL mechanism; None is the first one of `Security.sasl`.

        Raises:
            InvalidSettings: No such user, or a mechanism that the server does not accept.
            ServerStateError: A server without security has no users.
        """
        return self._up.client_config(user, mechanism)

    @property
    def issuer(self) -> Issuer:
        """The issuer of tokens, on a server with OAUTHBEARER.

        Raises:
            ServerStateError: There is none.
        """
        issuer = self._up.guard.issuer
        if issuer is None:
            raise ServerStateError("no issuer: Security(sasl='OAUTHBEARER') has one")
        return issuer

    @property
    def certificates(self) -> Certificates:
        """The certificates, on a server with TLS.

        Raises:
            ServerStateError: There are none.
        """
        certificates = self._up.guard.certificates
        if certificates is None:
            raise ServerStateError("no certificates: Security(tls=True) has some")
        return certificates

    @property
    def controllers(self) -> Sequence[Controller]:
        """The processes that are controllers and nothing else; empty unless asked for by `controllers=...`."""
        return self._up.controllers

    def logs(self, tail: int = 200) -> list[str]:
        """Return the last log lines, each after the name of its process.

        Args:
            tail: How many of each process.
        """
        return self._up.logs(tail)

    def create_topics(
        self,
        *names: str,
        partitions: int = 1,
        replication_factor: int = 1,
        config: Mapping[str, str] | None = None,
    ) -> None:
        """Create topics, all in one request, and wait until they are there.

        Args:
            names: The topics.
            partitions: Of each topic.
            replication_factor: Of each topic.
            config: Settings of each topic, for example `{"cleanup.policy": "compact"}`.

        Raises:
            ServerStateError: The broker refuses one of them.
            ServerFailed: All brokers have ended.
        """
        if names:
            with self._probe() as probe:
                patience = self._request.startup_timeout
                probe.create_topics(
                    names, partitions, replication_factor, config or {}, patience, self._look_for_deaths
                )

    def _look_for_deaths(self) -> None:
        """Raise if a cluster has lost all brokers that it had: nobody will answer."""
        if not any(broker.is_running for broker in self._up.brokers):
            self._up.check()

    @property
    def _patience(self) -> float:
        return self._request.startup_timeout

    @property
    def _up(self) -> Cluster:
        if self._cluster is None:
            raise ServerStateError("this server is not started: use it in a with block, or call start()")
        return self._cluster


def _mode(value: Mode | str) -> Mode:
    try:
        return Mode(value)
    except ValueError:
        raise InvalidSettings(f"mode must be one of {', '.join(Mode)}, got {value!r}") from None


def _settings(value: TestServerSettings | Mapping[str, Any] | None) -> TestServerSettings:
    if isinstance(value, TestServerSettings):
        return value
    return TestServerSettings.from_mapping(value or {})


def _at_least_one(brokers: int) -> int:
    if brokers < 1:
        raise InvalidSettings(f"brokers must be at least 1, got {brokers}")
    return brokers


def _controllers(count: int, mode: Mode | str) -> int:
    if count < 0:
        raise InvalidSettings(f"controllers must be at least 0, got {count}")
    if count and _mode(mode) is not Mode.KRAFT:
        raise InvalidSettings("controllers need mode='kraft'; with ZooKeeper one of the brokers is the controller")
    return count


def _path(value: Path | str | None) -> Path | None:
    return None if value is None else Path(value).expanduser().absolute()


def _timeout(value: float | None) -> float:
    text = os.environ.get(TIMEOUT_VARIABLE)
    if value is None and text:
        with contextlib.suppress(ValueError):
            return _more_than_zero(TIMEOUT_VARIABLE, float(text))
        raise InvalidSettings(f"{TIMEOUT_VARIABLE} must be a number of seconds, got {text!r}")
    return _more_than_zero("startup_timeout", _STARTUP_TIMEOUT if value is None else value)


def _more_than_zero(name: str, value: float) -> float:
    if value <= 0:
        raise InvalidSettings(f"{name} must be more than 0, got {value:g}")
    return value


def _one_of(name: str, value: _Word, words: Sequence[str]) -> _Word:
    if value not in words:
        raise InvalidSettings(f"{name} must be {', '.join(words[:-1])} or {words[-1]}, got {value!r}")
    return value
