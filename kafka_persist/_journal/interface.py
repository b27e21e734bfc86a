"""What a journal in Kafka can do beside `Journal`, whatever its layout."""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from ..abc import Capability, Journal
from ..publishing import PendingReport, PublishingStatistics

CAPABILITIES: Final = frozenset(
    {
        Capability.MULTI_EVENT_ATOMIC_WRITES,
        Capability.REJECTS_UNSERIALIZABLE,
        Capability.METADATA,
        Capability.TAGS,
        Capability.DELETES,
        Capability.DELETES_INSIDE_ATOMIC_WRITES,
        Capability.REFUSES_STALE_SEQUENCE_NRS,
        Capability.FENCING,
        Capability.DURABLE,
        Capability.PERSISTENCE_IDS,
    }
)
"""What both layouts can do."""


class KafkaJournal(Journal):
    """A journal whose events live in Kafka; opened by `open_journal`."""

    publishing_statistics: Callable[[], PublishingStatistics]
    """What its publisher has done and has still to do."""

    sweep_at_start: Callable[[], Awaitable[None]]
    """Publishes what dead processes left, as ``publish-pending`` wishes it at the start."""

    @abc.abstractmethod
    async def prepare(self, persistence_ids: Iterable[str]) -> None:
        """Do ahead of their first claims what many ids need: with a topic per id, create the topics in one batch.

        Raises:
            TopicSettingsRefused: an existing topic has settings that lose data.
            BrokerError: not all is done; calling again goes on.
        """

    @abc.abstractmethod
    async def publish_pending(self, persistence_ids: Iterable[str] | None = None) -> PendingReport:
        """Publish the events that dead processes stored and did not publish.

        An id that is claimed again publishes what it lacks by itself; this is for the others. An event may be published
        twice if its own process is still at it.

        Args:
            persistence_ids: which ids; by default all of the journal, found by their topics. Each one's log is read.

        Raises:
            SweepIncomplete: some ids could not be published, or not be read; all others are. Its `failures` say which and why.
            PublicationPending, StoredDataError, BrokerError: the same for a single id that was asked for.
            UnsupportedOperation: this journal publishes nothing, or its driver cannot list topics.
        """

    @abc.abstractmethod
    async def close(self) -> None:
        """Refuse new calls, wait for the writes under way, then for their publication; idempotent.

        Each of the two takes at most ``config.delivery_timeout``.
        """

    @abc.abstractmethod
    def release(self) -> None:
        """Let go of what outlives the calls: files. Called once, after `close`, when no task of the journal runs any more."""
