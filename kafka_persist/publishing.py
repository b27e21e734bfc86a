"""Publishing to user-defined topics: which topics an event goes to.

A mapper is chosen by configuration (``kafka-journal.event.producer.topic.mapper.class = "package.module:Class"``) or
given as an object: ``open_journal(config, event_topic_mapper=MyMapper())``. How the events get there, and what is
guaranteed: ``docs/publishing.md``.
"""

from __future__ import annotations

import abc
import importlib
from collections.abc import Sequence
from typing import Final

import attrs

from .errors import ConfigError, printable
from .model import Event
from .naming import DEFAULT_EVENTS_TOPIC

__all__ = [
    "DefaultEventTopicMapper",
    "EmptyEventTopicMapper",
    "EventTopicMapper",
    "PendingReport",
    "PublishingStatistics",
    "load_event_topic_mapper",
]

_DEFAULT_TOPICS: Final = (DEFAULT_EVENTS_TOPIC,)


class EventTopicMapper(abc.ABC):
    """Defines which user-defined topics an event is published to.

    A mapper is asked when an event is written and again when a recovery publishes what a dead process left, so it must
    give the same answer for the same event, in every process that writes to the same journal. It runs on the Trio
    thread, for each event: it must neither wait nor change anything.
    """

    @abc.abstractmethod
    def topics_for(self, event: Event) -> Sequence[str]:
        """Return the topics for `event`: none, one or several (at most 100).

        An exception raised here, or a name that no user-defined topic may have, rejects the write: the event is
        certainly not stored, and the entity goes on.
        """


class DefaultEventTopicMapper(EventTopicMapper):
    """Maps every event to the topic ``events``."""

    def topics_for(self, event: Event) -> Sequence[str]:
        """Return ``("events",)``."""
        return _DEFAULT_TOPICS


class EmptyEventTopicMapper(EventTopicMapper):
    """Publishes nothing."""

    def topics_for(self, event: Event) -> Sequence[str]:
        """Return no topics."""
        return ()


@attrs.frozen(kw_only=True)
class PublishingStatistics:
    """What the publisher of one journal has done and has still to do.

    Attributes:
        published: records that the brokers confirmed, since the journal was opened.
        in_flight: records handed over and not confirmed yet; with "exactly-once", those of open transactions.
        behind: ids with events that are read back from the journal, because they could not be sent when they were
            written (a crash, a full queue, a failure); with "exactly-once", all ids with events that wait.
        failures: how often publishing an id had to be put off.
        last_failure: why, the last time; "" if never.
    """

    published: int = 0
    in_flight: int = 0
    behind: int = 0
    failures: int = 0
    last_failure: str = ""


@attrs.frozen(kw_only=True)
class PendingReport:
    """What `KafkaJournal.publish_pending` found.

    Attributes:
        ids: persistence ids that were looked at.
        ids_behind: those with events that were not known to be published.
        events: how many such events there were; now all are published.
    """

    ids: int
    ids_behind: int
    events: int


def load_event_topic_mapper(name: str) -> EventTopicMapper:
    """Make the mapper that a configuration names as ``package.module:Class``.

    Raises:
        ConfigError: there is no such module or class, it is not an `EventTopicMapper`, or making one failed.
    """
    where = f"kafka-journal.event.producer.topic.mapper.class = {printable(name)}"
    module_name, _, path = name.partition(":")
    try:
        found: object = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise ConfigError(f"{where}: cannot be imported: {type(error).__name__}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, EventTopicMapper)):
        raise ConfigError(f"{where}: must be a class derived from kafka_persist.EventTopicMapper")
    try:
        return found()
    except Exception as error:
        raise ConfigError(
            f"{where}: cannot be made without arguments ({type(error).__name__}: {error}); give an object instead: "
            "open_journal(config, event_topic_mapper=...)"
        ) from error
