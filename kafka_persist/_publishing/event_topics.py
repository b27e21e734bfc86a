"""Telling user-defined topics from journal topics, in both directions.

An id whose topic is a user-defined topic is refused when it is claimed (`Collisions`); a mapper that names a journal topic is
refused before the first event goes there (`EventTopics`). Either mistake would destroy a log: published events among its
records make it unreadable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set

import attrs
import trio

from .._core.event_format import decode_event
from .._core.header import is_record
from ..config import JournalConfig
from ..driver import Driver, Log, TopicSpec
from ..errors import (
    CorruptRecord,
    EventMappingFailed,
    PersistenceError,
    PersistenceIdCollision,
    StoredDataError,
    TopicMissing,
    UnsupportedOperation,
    printable,
)
from .id_discovery import first_value
from .routing import Mapping


@attrs.frozen
class Collisions:
    """Tells journal topics from user-defined ones.

    Attributes:
        driver: the journal's.
        mapping: where its events go; None if they go nowhere.
    """

    driver: Driver
    mapping: Mapping | None

    def check_name(self, topic: str) -> None:
        """Refuse a topic that this process publishes to.

        Raises:
            PersistenceIdCollision: it does.
        """
        if self.mapping is not None and self.mapping.has_named(topic):
            raise _refused(topic, "this journal's mapper names it")

    async def check_new(self, log: Log) -> None:
        """Refuse a topic whose journal is empty, but which has records in other partitions.

        Raises:
            PersistenceIdCollision: it has.
            BrokerError: the topic cannot be read.
        """
        try:
            count = await self.driver.partition_count(log.topic)
        except UnsupportedOperation:
            return  # noqa: ASYNC910 - the log was read just before
        for partition in range(count):
            if partition != log.partition and await first_value(self.driver, Log(log.topic, partition)) is not None:
                raise _refused(log.topic, f"there are records in its partition {partition}")

    async def explained(self, log: Log, error: CorruptRecord) -> PersistenceError:
        """Say what it is that stands where a journal should be."""
        try:
            decode_event(await first_value(self.driver, log) or b"", str(log))
        except (StoredDataError, TopicMissing):
            return error
        refused = _refused(log.topic, "published events are in it")
        refused.__cause__ = error
        return refused


def _refused(topic: str, reason: str) -> PersistenceIdCollision:
    return PersistenceIdCollision(
        f"the topic {printable(topic)} of this id is a user-defined topic ({reason}): published events among its records "
        "would destroy its journal. Give the id or the topic another name, or the journal a prefix of its own"
    ).about(topic=topic)


@attrs.define(eq=False)
class EventTopics:
    """The user-defined topics that events may go to at once: they exist, and no journal is in them.

    The one memory of that: what it does not know is looked up, and created if it is missing.

    Attributes:
        driver: the journal's.
        config: the journal's.
        is_journal_topic: whether a topic holds one of the logs that the journal has open.
    """

    driver: Driver
    config: JournalConfig
    is_journal_topic: Callable[[str], bool]
    _ready: set[str] = attrs.field(factory=set, init=False)

    def are_ready(self, topics: Iterable[str]) -> bool:
        """Whether events may go to all of them at once."""
        return self._ready.issuperset(topics)

    async def ensure(self, topics: Set[str]) -> None:
        """Create the topics that are missing.

        Raises:
            EventMappingFailed: one of them is a journal topic.
            BrokerError: a topic cannot be looked up or created.
        """
        missing = sorted(topics - self._ready)
        if not missing:
            await trio.lowlevel.checkpoint()
            return
        for topic in missing:
            if self.is_journal_topic(topic):
                raise _is_a_journal(topic)
        partitions, settings = self.config.event_producer.partitions, self.config.event_topic_settings()
        await self.driver.ensure_topics([TopicSpec(topic, partitions, settings, role="events") for topic in missing])
        for topic in missing:
            if await _holds_a_journal(self.driver, Log(topic, self.config.partition)):
                raise _is_a_journal(topic)
        self._ready.update(missing)

    def suspect(self, topics: Set[str]) -> None:
        """Records for these topics were refused: look at the topics again before the next."""
        self._ready -= topics
        self.driver.forget_topics(topics)


async def _holds_a_journal(driver: Driver, log: Log) -> bool:
    try:
        return is_record(await first_value(driver, log))
    except TopicMissing:
        return False  # it has fewer partitions than the one that journals are in


def _is_a_journal(topic: str) -> EventMappingFailed:
    return EventMappingFailed(
        f"the mapper names {printable(topic)}, which is the journal topic of some id: events there would destroy it. "
        "Give user-defined topics other names, or the journal a prefix of its own"
    )
