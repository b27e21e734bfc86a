"""What pages read: a journal and a snapshot store that are opened so that they only read."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs

from .._commands.plain_json import event_to_json, to_json
from .._commands.stores import for_reading, index_directory, open_snapshots_for_reading
from ..abc import Journal
from ..config import Config
from ..journal import open_journal_on
from ..model import PersistentRepr, SelectionCriteria
from ..serialization import RawSerializer
from ..snapshots import KafkaSnapshotStore
from .history import History

PAGE: Final = 50
"""Events on a page."""

MAX_IDS: Final = 500
"""Ids on a page."""

RAW: Final = RawSerializer()


@attrs.frozen
class Page:
    """Some events of an id, in their order.

    Attributes:
        events: as JSON has them, with `taken_over` where the writer is another one than that of the event before.
        first: the number that was asked for.
        highest: the id's highest number.
        deleted_to: events up to this number are deleted.
    """

    events: Sequence[dict[str, Any]]
    first: int
    highest: int
    deleted_to: int

    @property
    def oldest(self) -> int:
        """The lowest number that an event can have."""
        return self.deleted_to + 1

    @property
    def older(self) -> int | None:
        """Where the page before begins."""
        return max(self.oldest, self.first - PAGE) if self.first > self.oldest else None

    @property
    def newer(self) -> int | None:
        """Where the page after begins."""
        after = self.events[-1]["sequence_nr"] + 1 if len(self.events) == PAGE else self.highest + 1
        return after if after <= self.highest else None

    @property
    def newest(self) -> int:
        """Where the last page begins."""
        return max(self.oldest, self.highest - PAGE + 1)


@attrs.frozen
class Library:
    """What is stored.

    Attributes:
        journal: opened with a `RawSerializer`.
        store: the same.
        history: what only the logs themselves tell.
    """

    journal: Journal
    store: KafkaSnapshotStore
    history: History

    async def ids(self, prefix: str) -> tuple[Sequence[str], bool]:
        """Ids that begin with `prefix`, sorted, and whether there are more.

        Raises:
            StoredDataError: of a log it is not known whose it is.
            BrokerError: there was no answer.
        """
        found: list[str] = []
        async with self.journal.persistence_ids() as ids:
            async for persistence_id in ids:
                if persistence_id.startswith(prefix):
                    if len(found) == MAX_IDS:
                        return sorted(found), True
                    found.append(persistence_id)
        return sorted(found), False

    async def page(self, persistence_id: str, first: int | None, count: int = PAGE) -> Page:
        """Some events, from number `first` on; None for the newest ones.

        Raises:
            StoredDataError: what is stored is damaged.
            BrokerError: there was no answer.
        """
        highest = await self.journal.highest_sequence_nr(persistence_id)
        deleted_to = self.journal.deleted_to(persistence_id) or 0
        begin = max(1, highest - count + 1) if first is None else first
        begin = max(begin, deleted_to + 1)
        events = await self.events(persistence_id, begin, count)
        return Page(events, begin, highest, deleted_to)

    async def events(self, persistence_id: str, first: int, count: int) -> Sequence[dict[str, Any]]:
        """The next `count` events from number `first` on. Raises as `page`."""
        found: list[dict[str, Any]] = []
        before: PersistentRepr | None = None
        # one more at the front, to see whether the writer is still the same
        async with self.journal.replay(
            persistence_id, from_sequence_nr=max(1, first - 1), max_events=count + 1
        ) as events:
            async for event in events:
                if event.sequence_nr >= first and len(found) < count:
                    fields = event_to_json(event, RAW)
                    fields["taken_over"] = before is not None and before.writer != event.writer
                    found.append(fields)
                before = event
        return found

    async def event(self, persistence_id: str, number: int) -> dict[str, Any] | None:
        """One event; None if there is none with this number. Raises as `page`."""
        found = await self.events(persistence_id, number, 1)
        return found[0] if found and found[0]["sequence_nr"] == number else None

    async def snapshots(self, persistence_id: str) -> Sequence[dict[str, Any]]:
        """Which snapshots there are, the newest first.

        Raises:
            SnapshotUnreadable: it is not certain which.
            BrokerError: there was no answer.
        """
        return [
            {
                "sequence_nr": each.metadata.sequence_nr,
                "timestamp": each.metadata.timestamp,
                "bytes": each.size,
                "damage": each.damage,
            }
            for each in await self.store.stored(persistence_id)
        ]

    async def snapshot(self, persistence_id: str, number: int) -> dict[str, Any] | None:
        """What is in one snapshot. Raises as `snapshots`."""
        criteria = SelectionCriteria(min_sequence_nr=number, max_sequence_nr=number)
        found = await self.store.load(persistence_id, criteria)
        if found is None:
            return None
        encoded = RAW.dump(found.snapshot)
        return {
            "sequence_nr": number,
            "timestamp": found.metadata.timestamp,
            "name": encoded.name,
            "version": encoded.version,
            "metadata": to_json(found.metadata.metadata),
            "data": to_json(encoded.data),
        }


@asynccontextmanager
async def open_library(config: Config) -> AsyncIterator[Library]:
    """Open what is stored, for reading only: nothing is claimed, created or published.

    Raises:
        ConnectError, AuthenticationError: see `open_journal`.
    """
    from .._kafka.driver import open_driver

    async with contextlib.AsyncExitStack() as stack:
        reading = for_reading(config.journal, stack.enter_context(index_directory(config.journal)))
        driver = await stack.enter_async_context(open_driver(reading))
        journal = await stack.enter_async_context(open_journal_on(driver, reading, serializer=RAW))
        store = await stack.enter_async_context(open_snapshots_for_reading(config, RAW))
        yield Library(journal, store, History(driver, reading))
