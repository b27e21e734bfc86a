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


@mutant("ids are listed as their file names", "test_hostile_ids_are_listed_as_they_are")
class ListedSanitised(SmallJournal):
    def listed(self):
        return [name.replace("/", "_") for name in super().listed()]


@mutant("asking for an id lists it", "test_ids_that_were_never_written_are_not_listed")
class AskedIsListed(SmallJournal):
    async def highest_sequence_nr(self, persistence_id):
        self.log(persistence_id)
        return await super().highest_sequence_nr(persistence_id)

    def listed(self):
        return list(self.disk.logs)


@mutant("emptied ids are not listed", "test_an_id_without_events_that_were_deleted_stays_listed")
class EmptiedNotListed(SmallJournal):
    def listed(self):
        return [name for name in super().listed() if self.disk.logs[name].floor < self.disk.logs[name].highest]


@mutant("only ids of this life are listed", "test_ids_are_listed_after_a_restart")
class ListedOfThisLife(SmallJournal):
    async def start(self):
        self.old = set(self.disk.logs)

    def listed(self):
        return [name for name in super().listed() if name not in self.old]


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


@mutant("declares less than it is asked for", "test_the_journal_declares_what_its_spec_declares")
class DeclaresLess(SmallJournal):
    @property
    def capabilities(self):
        return self.declared - {Capability.TAGS}
