"""Journals that break promises over restarts and crashes."""

import copy

import attrs

from kafka_persist.abc import Capability
from kafka_persist.model import Rejection

from .registry import mutant
from .small_journal import SmallJournal, lacking


@mutant("events reach the disk when the store is closed", "test_events_survive_a_crash")
class FlushOnClose(SmallJournal):
    def __init__(self, disk):
        super().__init__(attrs.evolve(disk, logs=copy.deepcopy(disk.logs)))
        self.real = disk

    def stop(self):
        super().stop()
        self.real.logs.update(self.disk.logs)


@mutant("deletes beyond the end come back as written", "test_deletes_beyond_the_end_hide_nothing_after_a_restart")
class FloorUnclampedOnDisk(SmallJournal):
    async def delete_to(self, persistence_id, to_sequence_nr):
        await super().delete_to(persistence_id, to_sequence_nr)
        self.disk.notes[self.key(persistence_id)] = to_sequence_nr

    async def start(self):
        for key, floor in self.disk.notes.items():
            self.disk.logs[key].floor = max(self.disk.logs[key].floor, floor if floor < 2**60 else 0)


@mutant("after a restart the last delete counts", "test_several_deletes_survive_a_restart")
class LastDeleteOnDisk(FloorUnclampedOnDisk):
    async def start(self):
        for key, floor in self.disk.notes.items():
            self.disk.logs[key].floor = min(floor, self.disk.logs[key].highest)


@mutant(
    "after a restart a delete reaches ids with the same prefix", "test_a_delete_touches_one_id_only_after_a_restart"
)
class PrefixDeleteOnRestart(SmallJournal):
    async def start(self):
        for name, log in self.disk.logs.items():
            for other, one in self.disk.logs.items():
                if other.startswith(name):
                    one.floor = max(one.floor, min(log.floor, one.highest))


@mutant("a restart closes the holes", "test_holes_survive_a_restart")
class RestartRenumbers(SmallJournal):
    async def start(self):
        for log in self.disk.logs.values():
            log.events[:] = [attrs.evolve(event, sequence_nr=place) for place, event in enumerate(log.events, 1)]


@mutant("manifest and tags live in a cache", "test_all_fields_survive_a_restart")
class FieldsInCache(SmallJournal):
    async def start(self):
        for log in self.disk.logs.values():
            log.events[:] = [attrs.evolve(event, manifest="", tags=frozenset()) for event in log.events]


@mutant("rejected events come back after a restart", "test_rejected_events_do_not_appear_after_a_restart")
class RejectedComeBack(SmallJournal):
    def store(self, write, events):
        result = super().store(write, events)
        if isinstance(result, Rejection):
            bad = [attrs.evolve(event, payload="?", timestamp=1) for event in write.events]
            self.disk.notes.setdefault(self.key(write.persistence_id), []).extend(bad)
        return result

    async def start(self):
        for key, events in self.disk.notes.items():
            self.disk.logs[key].events += events
            self.disk.logs[key].events.sort(key=lambda event: event.sequence_nr)


@mutant("the fence is forgotten by a restart", "test_fenced_events_do_not_appear_after_a_restart")
class FenceForgotten(SmallJournal):
    async def start(self):
        for log in self.disk.logs.values():
            log.writer = None

    def is_fenced(self, log, write):
        return log.writer is not None and super().is_fenced(log, write)


@mutant("every third restart loses the last event", "test_many_restarts_lose_nothing")
class ThirdRestartLoses(SmallJournal):
    async def start(self):
        self.disk.notes["starts"] = self.disk.notes.get("starts", 0) + 1
        if self.disk.notes["starts"] % 3 == 0:
            for log in self.disk.logs.values():
                log.events[-1:] = []


@mutant("highest survives, events do not", "test_without_durability_nothing_is_half_there")
class HalfDurable(SmallJournal):
    declared = lacking(Capability.DURABLE)

    def stop(self):
        super().stop()
        for log in self.disk.logs.values():
            log.events.clear()
