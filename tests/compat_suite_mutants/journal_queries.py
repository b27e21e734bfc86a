"""Journals that break promises about queries and about what they declare."""

from contextlib import asynccontextmanager

import trio

from kafka_persist.abc import Capability

from .registry import mutant
from .small_journal import SmallJournal, lacking


@mutant("each write lists its id again", "test_every_written_id_is_listed_once")
class ListedTwice(SmallJournal):
    def listed(self):
        return [name for name, log in self.disk.logs.items() for _ in log.batches]


@mutant("a list that was left blocks", "test_a_list_may_be_left_early")
class ListBlocks(SmallJournal):
    @asynccontextmanager
    async def _ids(self):
        if getattr(self, "listing", False):
            raise trio.BusyResourceError("listing")
        self.listing = True
        async with super()._ids() as channel:
            yield channel
            self.listing = channel.statistics().current_buffer_used != 0


@mutant("an undeclared list is empty", "test_listing_is_refused_if_not_declared")
class EmptyList(SmallJournal):
    declared = lacking(Capability.PERSISTENCE_IDS)

    def persistence_ids(self):
        return self._ids()
