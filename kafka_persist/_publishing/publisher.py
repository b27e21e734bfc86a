"""The interface that the service talks to, whichever way events are published."""

from __future__ import annotations

import abc
from collections.abc import Sequence

from .._journal.batch import Item
from .._journal.idlog import IdLog
from ..publishing import PublishingStatistics
from .progress import PublicationProgress


class Publisher(abc.ABC):
    """Publishes the events of all ids of a journal.

    Everything runs on the Trio thread. Nothing here delays a write or makes it fail: what cannot be published now is put
    off, and the journal has it.
    """

    @abc.abstractmethod
    def statistics(self) -> PublishingStatistics:
        """See `PublishingStatistics`."""

    @abc.abstractmethod
    def claimed(self, idlog: IdLog) -> PublicationProgress:
        """The head was read: publish what it says is missing."""

    @abc.abstractmethod
    def stored(self, idlog: IdLog, items: Sequence[Item]) -> None:
        """These writes count: publish them.

        Called from the callback of a delivery report, so it neither waits nor raises.
        """

    @abc.abstractmethod
    async def learn(self, idlog: IdLog) -> None:
        """Look up how far the id is published, perhaps by somebody else; take nothing over.

        Raises:
            JournalTruncated: events are published that the log does not have. A look-up that fails otherwise is no error:
                whoever publishes finds the same, and tells.
        """

    @abc.abstractmethod
    async def verify(self, idlog: IdLog) -> None:
        """See, before anything is written after a claim, that the log has all that is published.

        Raises:
            JournalTruncated: events are published that the log does not have.
            BrokerError: nobody says how far it is published.
        """

    @abc.abstractmethod
    async def wait(self, idlog: IdLog, number: int, seconds: float) -> None:
        """Wait until the id's events up to `number` are in their topics.

        Raises:
            PublicationPending: not within `seconds`; publishing goes on.
        """

    @abc.abstractmethod
    async def drain(self) -> None:
        """Wait until all is published but what was put off after a failure; no deadline."""
