"""Journals that break promises about ids and about one writer per id."""

from kafka_persist.abc import Capability
from kafka_persist.errors import (
    WriterFenced,
)

from .registry import mutant
from .small_journal import SmallJournal, lacking

# --- ids ---


@mutant("illegal ids are accepted", "test_illegal_ids_are_refused", "test_errors_of_the_store_come_out_bare")
class IllegalIdsAccepted(SmallJournal):
    def check_id(self, name):
        pass


@mutant("ids share a slot if their hashes do", "test_many_ids_interleaved_stay_apart", "test_many_ids_in_parallel")
class HashSlots(SmallJournal):
    def key(self, name):
        return sum(name.encode()) % 101


# --- claims ---


@mutant("a claim always gives 0", "test_a_claim_gives_the_highest_sequence_number", "test_a_new_writer_goes_on")
class ClaimGivesZero(SmallJournal):
    async def claim(self, persistence_id, writer):
        await super().claim(persistence_id, writer)
        return 0


@mutant(
    "a fenced write is refused, but stored", "test_an_older_writer_is_fenced", "test_long_runs_agree_with_the_model"
)
class FencedIsStored(SmallJournal):
    def store(self, write, events):
        result = super().store(write, events)
        if isinstance(result, WriterFenced):
            self.append(self.log(write.persistence_id), events)
        return result


@mutant("without fencing an older writer's event is dropped", "test_without_fencing_nothing_acknowledged_is_hidden")
class OldEventsDropped(SmallJournal):
    declared = lacking(Capability.FENCING)

    def store(self, write, events):
        log = self.log(write.persistence_id)
        return None if log.writer != write.writer else super().store(write, events)
