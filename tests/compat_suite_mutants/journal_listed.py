"""The 32 known journal defects that existing contract suites were measured with: they find 8 (11 with load tests)."""

import attrs

from compat_suite.capabilities import JOURNAL
from kafka_persist.abc import Capability
from kafka_persist.model import MAX_SEQUENCE_NR, Rejection

from .registry import mutant
from .small_journal import Log, SmallJournal


@mutant("the lower bound is exclusive", "test_the_lower_bound_is_inclusive", listed=True)
class LowerBoundExclusive(SmallJournal):
    def in_range(self, number, low, high):
        return (low < number or low <= 1) and number <= high


@mutant("the upper bound is exclusive", "test_the_upper_bound_is_inclusive", listed=True)
class UpperBoundExclusive(SmallJournal):
    def in_range(self, number, low, high):
        return low <= number < high or number == high == MAX_SEQUENCE_NR


@mutant("the maximum is ignored", "test_the_maximum_limits_the_number_of_events", listed=True)
class MaximumIgnored(SmallJournal):
    def select(self, log, low, high, limit):
        return super().select(log, low, high, None)


@mutant("highest is reset by deleting everything", "test_deleting_everything_keeps_the_highest_number", listed=True)
class HighestResetByFullDelete(SmallJournal):
    def cut(self, log, number):
        super().cut(log, number)
        if log.floor == log.highest:
            log.highest = log.floor = 0
            log.events.clear()


@mutant("deleting to infinity overflows", "test_deleting_everything_keeps_the_highest_number", listed=True)
class DeleteOverflow(SmallJournal):
    def cut(self, log, number):
        below = (number + 1 + 2**63) % 2**64 - 2**63
        super().cut(log, below - 1)


def _stop_at_hole(events, page):
    kept, last = [], 0
    for event in events:
        if kept and event.sequence_nr > last + page:
            break
        kept.append(event)
        last = event.sequence_nr
    return kept


@mutant("a hole of 2 ends the replay (a page of 2)", "test_holes_between_numbers_are_legal", listed=True)
class HoleEndsReplayPage2(SmallJournal):
    def select(self, log, low, high, limit):
        return _stop_at_hole(super().select(log, low, high, limit), 2)


@mutant("the writer is not stored", "test_the_writer_comes_back", listed=True)
class WriterDropped(SmallJournal):
    def keep(self, event):
        return attrs.evolve(super().keep(event), writer=type(event.writer)(int=0))


@mutant("metadata is not stored", "test_metadata_comes_back", listed=True)
class MetadataDropped(SmallJournal):
    def keep(self, event):
        return attrs.evolve(super().keep(event), metadata=None)


@mutant("a replay is cut at 100 events", "test_logs_of_every_page_length_are_replayed_whole", listed=True)
class CutAt100(SmallJournal):
    def select(self, log, low, high, limit):
        return super().select(log, low, high, limit)[:100]


@mutant("the second write call replaces the first", "test_later_calls_append", listed=True)
class SecondCallReplaces(SmallJournal):
    def append(self, log, events):
        if len(log.batches) == 1:
            log.events.clear()
        super().append(log, events)


@mutant("a later batch is sorted first", "test_later_calls_append", listed=True)
class LaterBatchFirst(SmallJournal):
    def append(self, log, events):
        super().append(log, events)
        log.events[:] = events + log.events[: -len(events)]


@mutant("deletes are forgotten by a restart (krasserm)", "test_deletes_survive_a_restart", listed=True)
class DeletesLostOnRestart(SmallJournal):
    async def start(self):
        for log in self.disk.logs.values():
            log.floor = 0


@mutant("all events are lost by a restart", "test_events_survive_a_restart", listed=True)
class EventsLostOnRestart(SmallJournal):
    def stop(self):
        super().stop()
        self.disk.logs.clear()


@mutant(
    "highest is lost by a restart after deleting everything (akka#18559)",
    "test_highest_survives_a_restart_after_deleting_everything",
    listed=True,
)
class HighestLostOnRestart(SmallJournal):
    async def start(self):
        for log in self.disk.logs.values():
            if log.floor >= log.highest:
                log.highest = 0


@mutant(
    "deleting to infinity also hides later events", "test_deleting_everything_does_not_hide_later_events", listed=True
)
class DeleteInfinityHidesFuture(SmallJournal):
    def cut(self, log, number):
        if number == MAX_SEQUENCE_NR:
            log.floor = number
        else:
            super().cut(log, number)


@mutant(
    "a delete beyond the end hides later events (kafka-journal has the case)",
    "test_a_delete_beyond_the_end_does_not_hide_later_events",
    listed=True,
)
class DeleteBeyondEndHidesFuture(SmallJournal):
    def cut(self, log, number):
        if number == MAX_SEQUENCE_NR:
            super().cut(log, number)
        else:
            log.floor = max(log.floor, number)


@mutant("a smaller delete resurrects events", "test_a_smaller_delete_resurrects_nothing", listed=True)
class SmallerDeleteResurrects(SmallJournal):
    def cut(self, log, number):
        log.floor = max(0, min(number, log.highest))


@mutant("a delete reaches ids with the same prefix", "test_a_delete_touches_one_id_only", listed=True)
class DeleteReachesOthers(SmallJournal):
    async def delete_to(self, persistence_id, to_sequence_nr):
        await super().delete_to(persistence_id, to_sequence_nr)
        for name, log in self.disk.logs.items():
            if name.startswith(persistence_id):
                self.cut(log, to_sequence_nr)


@mutant("a rejected event is stored", "test_a_rejected_event_is_never_stored", listed=True)
class RejectedIsStored(SmallJournal):
    def store(self, write, events):
        result = super().store(write, events)
        if isinstance(result, Rejection):
            log = self.log(write.persistence_id)
            self.append(log, [self.stamped(attrs.evolve(event, payload="?")) for event in write.events])
        return result


@mutant(
    "after a rejection the rest is acknowledged but not stored",
    "test_an_unserializable_event_alone_is_rejected",
    listed=True,
)
class RestAfterRejectionLost(SmallJournal):
    async def write(self, writes):
        self.rejected = False
        return await super().write(writes)

    def store(self, write, events):
        if self.rejected:
            return None
        self.rejected = isinstance(events, Rejection)
        return super().store(write, events)


@mutant(
    "a rejected atomic write stores its good part (akka#17575)",
    "test_a_rejected_atomic_write_stores_none_of_its_events",
    listed=True,
)
class GoodPartOfRejectedStored(SmallJournal):
    def store(self, write, events):
        result = super().store(write, events)
        good = [self.stamped(self.keep(event)) for event in write.events if not self.problem(event)]
        if isinstance(result, Rejection) and good:
            self.append(self.log(write.persistence_id), good)
        return result


@mutant("ids collide after sanitising (krasserm#5)", "test_lookalike_ids_are_different", listed=True)
class IdsSanitised(SmallJournal):
    def key(self, name):
        return "".join(c if c.isascii() and (c.isalnum() or c in "-._") else "_" for c in name)


@mutant("ids are case-insensitive (actor-ts#707)", "test_lookalike_ids_are_different", listed=True)
class IdsCaseInsensitive(SmallJournal):
    def key(self, name):
        return name.casefold()


@mutant("ids are truncated (actor-ts#133)", "test_ids_of_every_length_are_whole", listed=True)
class IdsTruncated(SmallJournal):
    def key(self, name):
        return name[:250]


@mutant(
    "a hole wider than a page of 100 ends the replay (jdbc#516)",
    "test_a_hole_wider_than_a_page_does_not_end_the_replay",
    listed=True,
)
class HoleEndsReplayPage100(SmallJournal):
    def select(self, log, low, high, limit):
        return _stop_at_hole(super().select(log, low, high, limit), 100)


@mutant(
    "the position in the log is used as sequence number (krasserm)", "test_holes_between_numbers_are_legal", listed=True
)
class PositionAsSequenceNr(SmallJournal):
    def give(self, event, name):
        place = self.disk.logs[self.key(name)].events.index(event)
        return attrs.evolve(super().give(event, name), sequence_nr=place + 1)


@mutant("highest of an unknown id is the hint (akka#18296)", "test_an_unknown_id_has_none", listed=True)
class HintAsHighest(SmallJournal):
    def channel(self, log, name, low, high, limit):
        if not log.highest and low > 1:
            self.disk.logs[self.key(name)] = Log(highest=low - 1)
        return super().channel(log, name, low, high, limit)


@mutant(
    "duplicate numbers are dropped in silence (cassandra#372)", "test_duplicate_numbers_are_all_delivered", listed=True
)
class DuplicatesDropped(SmallJournal):
    declared = JOURNAL - {Capability.REFUSES_STALE_SEQUENCE_NRS}

    def append(self, log, events):
        known = {event.sequence_nr for event in log.events}
        new = [event for event in events if event.sequence_nr not in known]
        if new:
            super().append(log, new)


@mutant("the adapter's manifest is not stored", "test_the_manifest_comes_back", listed=True)
class ManifestDropped(SmallJournal):
    def keep(self, event):
        return attrs.evolve(super().keep(event), manifest="")


@mutant("the timestamp is not stored", "test_given_timestamps_come_back", listed=True)
class TimestampDropped(SmallJournal):
    def give(self, event, name):
        return attrs.evolve(super().give(event, name), timestamp=0)


@mutant("payloads are cut at 4 KiB", "test_payloads_of_every_size_come_back_whole", listed=True)
class PayloadCut(SmallJournal):
    def keep(self, event):
        payload = event.payload[:4096] if isinstance(event.payload, str) else event.payload
        return super().keep(attrs.evolve(event, payload=payload))


@mutant("highest is the number of events", "test_it_follows_each_write", listed=True)
class HighestIsCount(SmallJournal):
    def append(self, log, events):
        super().append(log, events)
        log.highest = sum(map(len, log.batches))
