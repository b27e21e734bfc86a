"""Journals that break promises about the highest sequence number and about deletes."""

from kafka_persist.abc import Capability

from .registry import mutant
from .small_journal import SmallJournal, lacking

# --- highest ---


# --- deletes ---


@mutant(
    "a delete inside an atomic write is done although not declared",
    "test_a_delete_inside_an_atomic_write_is_refused_if_not_declared",
)
class DeleteInsideAnyway(SmallJournal):
    declared = lacking(Capability.DELETES_INSIDE_ATOMIC_WRITES)

    def refuse_inside(self, log, number):
        pass


@mutant("undeclared deletes pretend to work", "test_deletes_are_refused_if_not_declared")
class DeletesPretend(SmallJournal):
    declared = lacking(Capability.DELETES)

    async def delete_to(self, persistence_id, to_sequence_nr):
        await self.begin()
        await self.end()
