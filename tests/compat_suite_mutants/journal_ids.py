"""Journals that break promises about ids and about one writer per id."""

from kafka_persist.abc import Capability
from kafka_persist.errors import (
    WriterFenced,
)

from .registry import mutant
from .small_journal import SmallJournal, lacking

# --- ids ---


@mutant("leading dots and blanks are stripped", "test_lookalikes_at_the_start_of_an_id_are_different")
class LeadingStripped(SmallJournal):
    def key(self, name):
        return name.lstrip(". ") or name


@mutant("dots are refused", "test_dots_alone_are_ids")
class DotsRefused(SmallJournal):
    def check_id(self, name):
        super().check_id("" if name in {".", ".."} else name)


@mutant("ids are cut at 3,000 bytes", "test_long_ids_of_wide_characters_are_whole")
class BytesTruncated(SmallJournal):
    def key(self, name):
        return name.encode()[:3000]


@mutant("ids are normalized", "test_lookalike_ids_are_different")
class IdsNormalized(SmallJournal):
    def key(self, name):
        import unicodedata

        return unicodedata.normalize("NFC", name)


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


@mutant("a claim fences all ids", "test_claims_of_one_id_do_not_touch_others")
class ClaimFencesAll(SmallJournal):
    def take(self, log, writer):
        for other in self.disk.logs.values():
            other.writer = None
        super().take(log, writer)


@mutant(
    "nobody is fenced",
    "test_an_older_writer_is_fenced",
    "test_a_writer_without_a_claim_is_fenced",
    "test_a_fenced_write_does_not_stop_the_others_of_its_call",
)
class NoFencing(SmallJournal):
    def is_fenced(self, log, write):
        return False


@mutant("a fenced writer gets through on its third attempt", "test_a_fenced_writer_stays_fenced")
class FencedGetsThrough(SmallJournal):
    attempts = 0

    def is_fenced(self, log, write):
        if super().is_fenced(log, write):
            self.attempts += 1
            return self.attempts % 6 != 0
        return False


@mutant(
    "the fence is known to one process only",
    "test_a_claim_in_another_process_fences",
    "test_two_processes_never_both_win_a_number",
)
class FenceInMemory(SmallJournal):
    def __init__(self, disk):
        super().__init__(disk)
        self.writers = {}

    def take(self, log, writer):
        self.writers[id(log)] = writer

    def is_fenced(self, log, write):
        return self.writers.get(id(log)) != write.writer

    def check_order(self, writes, prepared):
        pass


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
