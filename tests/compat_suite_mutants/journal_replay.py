"""Journals that break promises about replays."""

import trio

from .registry import mutant
from .small_journal import SmallChannel, SmallJournal


@mutant("an unknown id is an error", "test_an_unknown_id_has_no_events")
class UnknownIsError(SmallJournal):
    def channel(self, log, name, low, high, limit):
        if not log.highest:
            raise LookupError(name)
        return super().channel(log, name, low, high, limit)


@mutant("behind its end a replay starts again", "test_a_replay_ends_for_good")
class ReplayStartsAgain(SmallJournal):
    def channel(self, log, name, low, high, limit):
        return _Again(self, self.select(log, low, high, limit), name)


class _Again(SmallChannel):
    def __init__(self, journal, events, name):
        super().__init__(journal, events, name)
        self.all = list(events)

    async def receive(self):
        try:
            return await super().receive()
        except trio.EndOfChannel:
            self.events = list(self.all)
            raise


@mutant("a replay loads everything into memory", "test_a_long_replay_needs_bounded_memory")
class ReplayCopiesAll(SmallJournal):
    def select(self, log, low, high, limit):
        self.pages = [bytearray(500) for _ in log.events]
        return super().select(log, low, high, limit)
