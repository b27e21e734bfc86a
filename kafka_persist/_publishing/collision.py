"""Ids whose topic is a user-defined topic: refused when they are claimed.

The other direction, a mapper that names a journal topic, is refused by `wiring`. Here, too, a mistake would destroy a log:
published events among its records make it unreadable.
"""

from __future__ import annotations

import attrs

from .._core.event_format import decode_event
from ..driver import Driver, Log
from ..errors import (
    CorruptRecord,
    PersistenceError,
    PersistenceIdCollision,
    StoredDataError,
    TopicMissing,
    UnsupportedOperation,
    printable,
)
from .mapping import Mapping
from .sweep import first_value


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
