"""Asking the user's mapper, and checking what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import attrs

from ..config import JournalConfig
from ..errors import EventMappingFailed, printable
from ..model import Event, PersistentRepr
from ..naming import collision_key, is_legal_topic_name
from ..publishing import EmptyEventTopicMapper, EventTopicMapper

Topics: TypeAlias = tuple[str, ...]

MAX_TOPICS: Final = 100
"""Topics that one event may go to: each is a record more to write."""

MAX_REMEMBERED: Final = 10_000
"""Answers of the mapper that were found good."""

_INTERNAL: Final = "__"


@attrs.define
class Mapping:
    """A mapper with the rules for its answers; names that were found good are remembered.

    Attributes:
        mapper: the user's.
        config: whose journal and snapshot topics are off limits.
    """

    mapper: EventTopicMapper
    config: JournalConfig
    _good: set[Topics] = attrs.field(factory=set, init=False)
    _named: set[str] = attrs.field(factory=set, init=False)

    @property
    def empty(self) -> bool:
        """Nothing is ever published."""
        return type(self.mapper) is EmptyEventTopicMapper

    def has_named(self, topic: str) -> bool:
        """Whether events went, or were to go, to this topic, as far as is remembered."""
        return topic in self._named

    def topics_of(self, event: PersistentRepr, own_topic: str) -> Topics:
        """The topics of an event that is to be written or to be published.

        Args:
            event: the event.
            own_topic: the journal topic of its id.

        Raises:
            EventMappingFailed: the mapper raised, or gave something else than a few legal names.
        """
        view = Event(event.persistence_id, event.sequence_nr, event.payload)
        try:
            found = self.mapper.topics_for(view)
            topics = found if type(found) is tuple else _as_tuple(found)
            good = topics in self._good
        except Exception as error:
            raise EventMappingFailed(
                f"{self._name} failed for event {event.sequence_nr} of {printable(event.persistence_id)}: "
                f"{type(error).__name__}: {printable(str(error), 200)}"
            ) from error
        if own_topic in topics:
            raise EventMappingFailed(f"{self._name} gave {printable(own_topic)}: the journal topic of this very id")
        return topics if good else self._checked(topics)

    @property
    def _name(self) -> str:
        return type(self.mapper).__qualname__

    def _checked(self, topics: Topics) -> Topics:
        if len(topics) > MAX_TOPICS:
            raise EventMappingFailed(f"{self._name} gave {len(topics)} topics for one event; {MAX_TOPICS} are allowed")
        for topic in topics:
            if problem := self._problem(topic):
                raise EventMappingFailed(f"{self._name} gave {printable(str(topic))}: {problem}")
        if len(set(topics)) < len(topics):
            raise EventMappingFailed(f"{self._name} gave a topic twice: {printable(', '.join(topics), 200)}")
        if len(self._good) < MAX_REMEMBERED:
            self._good.add(topics)
            self._named.update(topics)
        return topics

    def _problem(self, topic: object) -> str | None:
        """Why this is no name of a user-defined topic; None if it is."""
        if not isinstance(topic, str) or not is_legal_topic_name(topic):
            return "not a legal topic name (1 to 249 ASCII letters, digits, '.', '_' and '-')"
        key = collision_key(topic)
        if key.startswith(_INTERNAL):
            return "names that begin with '__' are Kafka's own"
        if self.config.snapshot_prefix and key.startswith(collision_key(self.config.snapshot_prefix)):
            return f"names that begin with {self.config.snapshot_prefix!r} are snapshot topics"
        if self.config.prefix and key.startswith(collision_key(self.config.prefix)):
            return f"names that begin with {self.config.prefix!r} are this journal's own topics"
        return None


def _as_tuple(found: Sequence[str]) -> Topics:
    if isinstance(found, str | bytes):
        raise TypeError(f"topics_for must return a sequence of names, not {found!r}")
    return tuple(found)
