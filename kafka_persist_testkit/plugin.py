"""pytest fixtures: one real Kafka per test session, and a name of its own for each test.

This module is loaded in every pytest run of an environment that has this package, so it imports nothing but pytest until
a test asks for a server. There is no skip: a test that needs a server and gets none is an error, and the message names
every way to get one.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kafka_persist import KafkaPersistence, Persistence, Serializer

    from .faults import Faults
    from .server import TestServer

_UNFIT = re.compile(r"[^a-zA-Z0-9._-]+")
_LONGEST = 60


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--kafka-mode`."""
    group = parser.getgroup("kafka_persist_testkit", "a real Kafka for tests")
    group.addoption(
        "--kafka-mode",
        choices=("zookeeper", "kraft"),
        default="zookeeper",
        help="what the fixture kafka_server runs: Kafka 3.9 with ZooKeeper (default), or Kafka 4 without",
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
def kafka_server(request: pytest.FixtureRequest, kafka_server_factory: Callable[..., TestServer]) -> TestServer:
    """A running server for all tests of the session (with pytest-xdist: of one worker).

    Tests share it, so each uses topics of its own (`kafka_prefix`), and none stops it.
    """
    return kafka_server_factory(request.config.getoption("--kafka-mode"))


@pytest.fixture
def kafka_prefix(request: pytest.FixtureRequest) -> str:
    """A start of topic names that no other test has, also in other runs on the same server: `test_name-1f2e3d4c-`."""
    name = _UNFIT.sub("_", request.node.name)[:_LONGEST].strip("_.-")
    return f"{name}-{uuid.uuid4().hex[:8]}-"


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
async def _faulty_persistence(entity_serializer: Serializer) -> AsyncIterator[tuple[Persistence, Faults]]:
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
    kafka_server: TestServer, kafka_prefix: str, entity_serializer: Serializer
) -> AsyncIterator[KafkaPersistence]:
    """An open persistence on `kafka_server`, with topics that no other test has; with pytest-trio."""
    from kafka_persist import Config, EventProducerConfig, JournalConfig, SnapshotStoreConfig, open_persistence

    servers = kafka_server.bootstrap_servers
    mapper = "kafka_persist.publishing:EmptyEventTopicMapper"  # the topic "events" is everybody's
    config = Config(
        journal=JournalConfig(
            bootstrap_servers=servers,
            prefix=kafka_prefix,
            event_producer=EventProducerConfig(topic_mapper_class=mapper),
        ),
        snapshot_store=SnapshotStoreConfig(bootstrap_servers=servers, prefix=f"snapshot-{kafka_prefix}"),
    )
    async with open_persistence(config, serializer=entity_serializer) as persistence:
        yield persistence
