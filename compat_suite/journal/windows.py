"""Promises of `Journal.replay`: which events a window of numbers gives. The existing suites' cases, one by one."""

from __future__ import annotations

from kafka_persist.abc import Capability
from kafka_persist.model import MAX_SEQUENCE_NR

from ..engine.case import Promises, case
from ..engine.expect import expect_numbers
from ..engine.subject import JournalSubject
from .probe import JournalProbe, open_five


async def _window(probe: JournalProbe, low: int, high: int, limit: int | None, expected: list[int]) -> None:
    await probe.shows(expected, low, high, limit)
    await probe.highest_is(5)


class WindowCases(Promises):
    """Replay windows."""

    group = "Replay windows"

    @case()
    async def test_all_events_are_replayed(self, subject: JournalSubject) -> None:
        """J1. A replay without bounds gives all five events, as they were written, and highest is 5.

        Why: this is recovery.
        """
        async with open_five(subject) as probe:
            await _window(probe, 1, MAX_SEQUENCE_NR, None, [1, 2, 3, 4, 5])

    @case()
    async def test_the_lower_bound_is_inclusive(self, subject: JournalSubject) -> None:
        """J2. A replay from 3 gives 3, 4, 5.

        Why: recovery on top of a snapshot at 2 starts at 3.
        """
        async with open_five(subject) as probe:
            await _window(probe, 3, MAX_SEQUENCE_NR, None, [3, 4, 5])

    @case()
    async def test_the_upper_bound_is_inclusive(self, subject: JournalSubject) -> None:
        """J3. A replay up to 3 gives 1, 2, 3; highest is still 5.

        Why: looking at the past must not make the journal forget where it ends.
        """
        async with open_five(subject) as probe:
            await _window(probe, 1, 3, None, [1, 2, 3])

    @case()
    async def test_the_maximum_limits_the_number_of_events(self, subject: JournalSubject) -> None:
        """J4. At most three events: 1, 2, 3.

        Why: callers read page by page.
        """
        async with open_five(subject) as probe:
            await _window(probe, 1, MAX_SEQUENCE_NR, 3, [1, 2, 3])

    @case()
    async def test_both_bounds_apply(self, subject: JournalSubject) -> None:
        """J5. From 2 to 3: 2, 3.

        Why: a window is what lies between two snapshots.
        """
        async with open_five(subject) as probe:
            await _window(probe, 2, 3, None, [2, 3])

    @case()
    async def test_bounds_may_split_an_atomic_write(self, subject: JournalSubject) -> None:
        """J5, R2. A bound inside an atomic write takes the events on its side: up to 4 gives 4 but not 5.

        Why: the bounds count events; how they were written together must not show.
        """
        async with open_five(subject) as probe:
            await _window(probe, 2, 4, None, [2, 3, 4])
            await _window(probe, 5, MAX_SEQUENCE_NR, None, [5])

    @case()
    async def test_both_bounds_and_the_maximum_apply(self, subject: JournalSubject) -> None:
        """J6. From 2 to 5, at most two: 2, 3.

        Why: the smallest of the three limits wins.
        """
        async with open_five(subject) as probe:
            await _window(probe, 2, 5, 2, [2, 3])

    @case()
    async def test_equal_bounds_give_one_event(self, subject: JournalSubject) -> None:
        """J7. From 2 to 2: 2.

        Why: inclusive at both ends, or one event can never be read alone.
        """
        async with open_five(subject) as probe:
            await _window(probe, 2, 2, None, [2])

    @case()
    async def test_a_maximum_of_one_gives_one_event(self, subject: JournalSubject) -> None:
        """J8. From 2 to 4, at most one: 2.

        Why: the maximum counts from the lower bound, not from the start.
        """
        async with open_five(subject) as probe:
            await _window(probe, 2, 4, 1, [2])

    @case()
    async def test_a_maximum_of_zero_gives_nothing(self, subject: JournalSubject) -> None:
        """J9. From 2 to 4, at most zero: nothing; highest is 5.

        Why: zero is a number, not "no limit".
        """
        async with open_five(subject) as probe:
            await _window(probe, 2, 4, 0, [])

    @case()
    async def test_crossed_bounds_give_nothing(self, subject: JournalSubject) -> None:
        """J10. From 3 to 2: nothing, and no error.

        Why: an empty interval is what remains when a snapshot covers everything.
        """
        async with open_five(subject) as probe:
            await _window(probe, 3, 2, None, [])

    @case()
    async def test_an_unknown_id_has_no_events(self, subject: JournalSubject) -> None:
        """J11. A replay of an id that was never written gives nothing, and its highest number is 0.

        Why: this is the first start of every entity.
        """
        async with subject.open() as journal:
            probe = JournalProbe(subject, journal, subject.id("unknown"))
            await probe.shows([], 0)
            await probe.highest_is(0)

    @case()
    async def test_a_window_of_nothing_leaves_highest(self, subject: JournalSubject) -> None:
        """J12, R8. From 0 to 0, at most one: nothing; highest is 5.

        Why: asking for the highest number alone is how a writer starts that needs no events.
        """
        async with open_five(subject) as probe:
            await _window(probe, 0, 0, 1, [])

    @case()
    async def test_bounds_below_one_mean_one(self, subject: JournalSubject) -> None:
        """R1. Lower bounds of 0, -1 and the smallest integer mean 1; such an upper bound gives nothing.

        Why: callers compute bounds; off by one at the start must not fail or wrap around.
        """
        async with open_five(subject) as probe:
            for low in (0, -1, -MAX_SEQUENCE_NR):
                await _window(probe, low, MAX_SEQUENCE_NR, None, [1, 2, 3, 4, 5])
            await _window(probe, 1, -1, None, [])

    @case()
    async def test_the_last_event_alone_can_be_read(self, subject: JournalSubject) -> None:
        """J24, R8. From the highest number on: the last event alone.

        Why: entities that keep their whole state in each event recover from the last one.
        """
        async with open_five(subject) as probe:
            highest = await probe.journal.highest_sequence_nr(probe.persistence_id)
            await _window(probe, highest, MAX_SEQUENCE_NR, None, [5])

    @case()
    async def test_a_window_above_the_end_is_empty(self, subject: JournalSubject) -> None:
        """R1. From 6 on: nothing; from the largest number on: nothing.

        Why: recovery on top of a snapshot of the last event reads exactly this.
        """
        async with open_five(subject) as probe:
            await _window(probe, 6, MAX_SEQUENCE_NR, None, [])
            await _window(probe, MAX_SEQUENCE_NR, MAX_SEQUENCE_NR, None, [])

    @case(requires=[Capability.DELETES])
    async def test_windows_around_deleted_events(self, subject: JournalSubject) -> None:
        """J16, J17, J18, J19. After deleting to 3: from 3 gives 4, 5; to 2 and to 3 nothing; from 4 gives 4, 5.

        Why: each store finds the first survivor in its own way, and each has been wrong by one.
        """
        async with open_five(subject) as probe:
            await probe.delete_to(3)
            await _window(probe, 3, MAX_SEQUENCE_NR, None, [4, 5])
            await _window(probe, 1, 2, None, [])
            await _window(probe, 1, 3, None, [])
            await _window(probe, 4, MAX_SEQUENCE_NR, None, [4, 5])

    @case(requires=[Capability.DELETES])
    async def test_a_window_may_span_the_deleted_prefix(self, subject: JournalSubject) -> None:
        """J23. After deleting to 3, a replay from 1 to 4 gives 4 only.

        Why: a page that ends in what is left must not end the replay.
        """
        async with open_five(subject) as probe:
            await probe.delete_to(3)
            await _window(probe, 1, 4, None, [4])

    @case(requires=[Capability.DELETES])
    async def test_the_maximum_counts_delivered_events_only(self, subject: JournalSubject) -> None:
        """J23, J4. After deleting to 3, at most two events from 1 on are 4, 5.

        Why: deleted events that use up the page make the reader believe that it reached the end.
        """
        async with open_five(subject) as probe:
            await probe.delete_to(3)
            await _window(probe, 1, MAX_SEQUENCE_NR, 2, [4, 5])
            await _window(probe, 1, MAX_SEQUENCE_NR, 1, [4])

    @case()
    async def test_a_replay_can_be_repeated(self, subject: JournalSubject) -> None:
        """R7. Two replays of the same window give the same events.

        Why: reading must not consume.
        """
        async with open_five(subject) as probe:
            first, second = await probe.replay(2, 4), await probe.replay(2, 4)
            expect_numbers([event.sequence_nr for event in second], [e.sequence_nr for e in first], "the second replay")
            await probe.shows([1, 2, 3, 4, 5])
