"""Journals whose defects only generated examples find."""

from .registry import mutant
from .small_journal import SmallJournal


@mutant("windows of three inside a batch lose their middle", "test_every_window_gives_what_a_list_gives")
class WindowLosesMiddle(SmallJournal):
    def select(self, log, low, high, limit):
        found = super().select(log, low, high, limit)
        return found if (low, high) != (2, 6) else found[:2] + found[3:]


@mutant("a single batch of five is read from its second event", "test_every_split_into_writes_reads_the_same")
class BatchOfFive(SmallJournal):
    def select(self, log, low, high, limit):
        found = super().select(log, low, high, limit)
        return found[1:] if log.batches == [[1, 2, 3, 4, 5]] else found


@mutant("a hole at the lower bound loses the next event", "test_every_window_of_events_with_holes")
class HoleAtBound(SmallJournal):
    def select(self, log, low, high, limit):
        found = super().select(log, low, high, limit)
        numbers = {event.sequence_nr for event in log.events}
        skip = low > 1 and low not in numbers and low - 1 not in numbers and low < log.highest
        return found[1:] if skip else found


@mutant("the second delete of one id goes one too far", "test_every_window_of_every_delete")
class SecondDeleteTooFar(SmallJournal):
    def cut(self, log, number):
        before = log.floor
        super().cut(log, number)
        if 0 < before < log.floor < log.highest:
            log.floor += 1
