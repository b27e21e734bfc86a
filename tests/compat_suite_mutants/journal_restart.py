"""Journals that break promises over restarts and crashes."""

from kafka_persist.abc import Capability

from .registry import mutant
from .small_journal import SmallJournal, lacking


@mutant("highest survives, events do not", "test_without_durability_nothing_is_half_there")
class HalfDurable(SmallJournal):
    declared = lacking(Capability.DURABLE)

    def stop(self):
        super().stop()
        for log in self.disk.logs.values():
            log.events.clear()
