"""pytest fixtures: one real Kafka per test session, and names of its own for each test.

This module is loaded in every pytest run of an environment that has this package, so it imports nothing but pytest until
a test asks for a server. There is no skip: a test that needs a server and gets none is an error, and the message names
every way to get one.
"""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from kafka_persist import KafkaPersistence, Persistence, Serializer
    from kafka_persist.journal import KafkaJournal

    from .faults import Faults
    from .server import TestServer

_UNFIT = re.compile(r"[^a-zA-Z0-9._-]+")
_LONGEST = 60
_SHOWN_LINES = 20
_SECURITY = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
_KEPT = pytest.StashKey["list[str]"]()
"""Where the data is that `--kafka-keep` has kept."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose the server."""
    group = parser.getgroup("kafka_persist_testkit", "a real Kafka for tests")
    add = group.addoption
    add(
        "--kafka-mode",
        choices=("zookeeper", "kraft"),
        default="zookeeper",
        help="what the fixtures run: Kafka 3.9 with ZooKeeper (default), or Kafka 4 without",
    )
    add("--kafka-engine", choices=("auto", "java", "docker", "external"), default="auto", help="what runs it")
    add("--kafka-home", metavar="DIR", help="a Kafka installation to run, for another version than the built-in ones")
    add("--kafka-brokers", type=int, default=1, metavar="N", help="how many brokers kafka_server has (default: 1)")
    add(
        "--kafka-security",
        choices=_SECURITY,
        default="plaintext",
        help="what clients have to show: nothing (default), TLS, a SCRAM password, or both; kafka_server.client_config() has it",
    )
    add("--kafka-keep", action="store_true", help="keep the servers' data and logs, and say where they are")
    add(
        "--kafka-shared",
        action="store_true",
        help="with pytest-xdist: one server for all workers, not one each; it cannot be stopped by tests then",
    )
    add(
        "--kafka-reuse",
        action="store_true",
        help="leave the server running for the next pytest run of this user, which then starts at once; it ends when nobody "
        "has used it for 10 minutes",
    )


@pytest.fixture(scope="session")
def kafka_server_factory() -> Iterator[Callable[..., TestServer]]:
    """Start servers of one's own: takes what `TestServer` takes; all are stopped at the end of the session."""
    from .server import TestServer

    with contextlib.ExitStack() as servers:

        def start(*args: Any, **kwargs: Any) -> TestServer:
            return servers.enter_context(TestServer(*args, **kwargs))

        yield start


@pytest.fixture(scope="session")
def kafka_server(pytestconfig: pytest.Config, kafka_server_factory: Callable[..., TestServer]) -> TestServer:
    """A running server for all tests of the session (with pytest-xdist: of one worker, or see `--kafka-shared`).

    Tests share it, so each uses topics of its own (`topic`, `kafka_prefix`), and none stops it.
    """
    return _start(pytestconfig, kafka_server_factory, _brokers(pytestconfig))


@pytest.fixture(scope="session")
def kafka_cluster(pytestconfig: pytest.Config, kafka_server_factory: Callable[..., TestServer]) -> TestServer:
    """Three brokers for all tests of the session; who kills one starts it again."""
    return _start(pytestconfig, kafka_server_factory, max(3, _brokers(pytestconfig)))


def _brokers(config: pytest.Config) -> int:
    return int(config.getoption("--kafka-brokers") or 1)


def _start(config: pytest.Config, factory: Callable[..., TestServer], brokers: int) -> TestServer:
    from .security import Security

    protocol = str(config.getoption("--kafka-security"))
    sasl = "SCRAM-SHA-512" if protocol.startswith("sasl") else ()
    server = factory(
        config.getoption("--kafka-mode"),
        brokers=brokers,
        engine=config.getoption("--kafka-engine"),
        kafka_home=config.getoption("--kafka-home"),
        keep_data=config.getoption("--kafka-keep"),
        security=None if protocol == "plaintext" else Security(tls=protocol.endswith("ssl"), sasl=sasl),
        shared=_shared(config),
    )
    if config.getoption("--kafka-keep") and server.data_dir is not None:
        config.stash.setdefault(_KEPT, []).append(f"Kafka's data and logs are kept in {server.data_dir}")
    return server


def _shared(config: pytest.Config) -> str | None:
    """For whom beside this process the server is: this user's next runs, or this run's other workers."""
    if config.getoption("--kafka-reuse"):
        return "reuse"
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    return f"run-{run}" if run and config.getoption("--kafka-shared") else None


@pytest.fixture
def kafka_prefix(request: pytest.FixtureRequest) -> str:
    """A start of topic names that no other test has, also in other runs on the same server: `test_name-1f2e3d4c-`."""
    name = _UNFIT.sub("_", request.node.name)[:_LONGEST].strip("_.-")
    return f"{name}-{uuid.uuid4().hex[:8]}-"


@pytest.fixture
def unique_id(kafka_prefix: str) -> str:
    """A name that no other test has: a persistence id, a consumer group, a key."""
    return kafka_prefix.rstrip("-")


@pytest.fixture
def topic(kafka_server: TestServer, kafka_prefix: str) -> str:
    """The name of a topic on `kafka_server` with one partition, which is there, empty, and no other test's."""
    name = f"{kafka_prefix}topic"
    kafka_server.create_topics(name)
    return name


_RUNNERS: Final = ("trio", "anyio")

NOT_ON_TRIO: Final = (
    "the fixtures of kafka-persist with open journals and persistences are for tests that run on Trio. Make this one `async def`, and "
    "let pytest-trio run it: put `trio_mode = true` under [tool.pytest.ini_options] in pyproject.toml, or mark the test with "
    "@pytest.mark.trio"
)


@pytest.fixture
def _on_trio(request: pytest.FixtureRequest) -> None:
    """Say what is missing where nothing will run an asynchronous fixture; pytest itself only says that it cannot."""
    if not any(request.node.get_closest_marker(name) for name in _RUNNERS):
        pytest.fail(NOT_ON_TRIO, pytrace=False)


@pytest.fixture
async def journal(_on_trio: None, kafka_server: TestServer, kafka_prefix: str) -> AsyncIterator[KafkaJournal]:
    """An open journal on `kafka_server` with topics of its own, which publishes nothing. For tests that run on Trio."""
    from kafka_persist import open_journal
    from kafka_persist.publishing import EmptyEventTopicMapper

    config = _store_config(kafka_server, kafka_prefix).journal
    async with open_journal(config, event_topic_mapper=EmptyEventTopicMapper()) as opened:
        yield opened


@pytest.fixture
def unique_topics(kafka_prefix: str) -> Callable[[str], str]:
    """Names of topics that no other test has: ``unique_topics("orders")`` gives the same one each time within a test."""
    return lambda name: f"{kafka_prefix}{name}"


@pytest.fixture
def entity_serializer() -> Serializer:
    """The registry of event and state types for the two persistences below; override it with that of the application."""
    from kafka_persist import Serializer

    return Serializer()


@pytest.fixture
async def _faulty_persistence(
    _on_trio: None, entity_serializer: Serializer
) -> AsyncIterator[tuple[Persistence, Faults]]:
    from .faults import open_faulty_persistence

    async with open_faulty_persistence(serializer=entity_serializer) as opened:
        yield opened


@pytest.fixture
def memory_persistence(_faulty_persistence: tuple[Persistence, Faults]) -> Persistence:
    """An open persistence in memory, empty; with pytest-trio."""
    return _faulty_persistence[0]


@pytest.fixture
def persistence_faults(_faulty_persistence: tuple[Persistence, Faults]) -> Faults:
    """What goes wrong with `memory_persistence` of the same test."""
    return _faulty_persistence[1]


@pytest.fixture
async def kafka_persistence(
    _on_trio: None, kafka_server: TestServer, kafka_prefix: str, entity_serializer: Serializer
) -> AsyncIterator[KafkaPersistence]:
    """An open journal and snapshot store on `kafka_server`, with topics that no other test has; see `journal`."""
    from kafka_persist import open_persistence
    from kafka_persist.publishing import EmptyEventTopicMapper

    mapper = EmptyEventTopicMapper()  # the topic "events" is everybody's
    config = _store_config(kafka_server, kafka_prefix)
    async with open_persistence(config, serializer=entity_serializer, event_topic_mapper=mapper) as opened:
        yield opened


@pytest.fixture
def persistence(kafka_persistence: KafkaPersistence) -> KafkaPersistence:
    """The same, by the shorter name; override it to run an application's tests on another store."""
    return kafka_persistence


def _store_config(server: TestServer, prefix: str) -> Any:
    from kafka_persist import Config, JournalConfig, SnapshotStoreConfig

    client: dict[str, Any] = dict(server.client_config())
    servers = client.pop("bootstrap.servers")
    return Config(
        journal=JournalConfig(bootstrap_servers=servers, client=client, prefix=prefix),
        snapshot_store=SnapshotStoreConfig(prefix=f"{prefix}snapshot-"),
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the servers' last log lines below a test that failed and has a server of ours."""
    report = yield
    if report.failed:
        used = [value for value in getattr(item, "funcargs", {}).values() if _is_server(value)]
        for server in used:
            with contextlib.suppress(Exception):  # a server that is down has said why
                report.sections.append((f"Kafka: {server!r}", "\n".join(server.logs(_SHOWN_LINES))))
    return report


def _is_server(value: object) -> bool:
    """Whether it is a `TestServer`; asked of everything that tests have, so nothing is imported for it."""
    return any(
        f"{each.__module__}.{each.__name__}" == "kafka_persist_testkit.server.TestServer"
        for each in type(value).__mro__
    )


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what `--kafka-keep` has kept."""
    for line in config.stash.get(_KEPT, []):
        terminalreporter.write_line(line)
