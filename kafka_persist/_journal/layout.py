"""Which log holds which id, in the layout with a topic for each. The shared layout's rule is `_shared.place`."""

from __future__ import annotations

import abc

import attrs

from ..config import JournalConfig
from ..driver import Log, TopicSpec


class Layout(abc.ABC):
    """Maps persistence ids to logs."""

    @abc.abstractmethod
    def log_of(self, persistence_id: str) -> Log:
        """The log that holds the id's records."""

    @abc.abstractmethod
    def spec_of(self, log: Log) -> TopicSpec:
        """The topic that has to exist for `log`."""


@attrs.frozen
class TopicPerId(Layout):
    """One topic per id, one partition of it used: the original's layout."""

    config: JournalConfig

    def log_of(self, persistence_id: str) -> Log:
        """The log that holds the id's records."""
        return Log(self.config.topic_name(persistence_id), self.config.partition)

    def spec_of(self, log: Log) -> TopicSpec:
        """The topic that has to exist for `log`."""
        return TopicSpec(log.topic, self.config.topics.partitions, self.config.topic_settings(), role="journal")
