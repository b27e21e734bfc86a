"""Opening the clients of those who read user-defined topics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal

import trio
from confluent_kafka.admin import AdminClient

from ..config import JournalConfig
from ..driver import TopicSpec
from ..errors import PersistenceError
from .admin import Admin
from .brokers import located_once
from .client import Reasons, client_config
from .driver import configured
from .group import EventReader
from .making import make_client


@asynccontextmanager
async def open_event_reader(
    config: JournalConfig, specs: Sequence[TopicSpec], *, group: str = "", start: Literal["earliest", "latest"]
) -> AsyncIterator[EventReader]:
    """Open a reader; the topics are created if they are missing and may be.

    ZooKeeper, if it is configured, is asked for the brokers once: a consumer learns of later ones from those.

    Raises:
        ConnectError: ZooKeeper does not answer, or names no usable broker.
        TopicMissing, TopicSettingsRefused, BrokerError: see `Admin.ensure`.
        ConfigError: librdkafka refuses a property.
    """
    config = await located_once(config)
    await ensure_topics(config, specs)
    properties = client_config(config.event_consumer_properties(group), Reasons())

    def make() -> EventReader:
        with configured():
            return EventReader(properties, start=start)

    reader = await make_client(make, EventReader.close, "a consumer of events")
    try:
        yield reader
    finally:
        await reader.leave()  # noqa: ASYNC102 - shields itself, with a deadline


async def ensure_topics(config: JournalConfig, specs: Sequence[TopicSpec]) -> None:
    """Create missing topics, check the others; with a client of its own, which is closed again.

    Raises:
        TopicMissing, TopicSettingsRefused, BrokerError: see `Admin.ensure`.

    Cancellation: the caller leaves at once; topics may be created all the same.
    """

    def ensure() -> None:
        with configured():
            reasons = Reasons()
            client = AdminClient(client_config(config.client_properties(), reasons))
            admin = Admin(
                client,
                reasons,
                replication_factor=config.topics.replication_factor,
                create=config.topics.create,
                policy=config.settings_policy,
                timeout=config.connect_timeout,
            )
        try:
            for problem in admin.ensure(specs).values():  # or how many partitions it has
                if isinstance(problem, PersistenceError):
                    raise problem
        finally:
            admin.close()

    # The thread looks for a cancellation between its waits and closes its client then: nobody waits for that.
    await trio.to_thread.run_sync(ensure, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1))
