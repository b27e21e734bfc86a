"""Properties: every window of every split of events into writes, against a list; and long runs against the model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import trio

from kafka_persist.abc import Capability
from kafka_persist.model import MAX_SEQUENCE_NR

from ..engine.case import Promises, case
from ..engine.expect import expect_numbers
from ..engine.generated import for_all
from ..engine.subject import JournalSubject
from .probe import JournalProbe, new_probe, open_probe
from .stateful import Operations, check_against_model

Window = tuple[int, int, int | None]


def model_replay(numbers: Sequence[int], window: Window) -> list[int]:
    """Return what a replay of a list gives."""
    low, high, limit = window
    return [number for number in numbers if low <= number <= high][:limit]


def splits(count: int) -> list[list[tuple[int, ...]]]:
    """Return every way to cut 1…count into consecutive atomic writes."""
    found = []
    for borders in itertools.product([False, True], repeat=count - 1):
        batches: list[tuple[int, ...]] = [(1,)]
        for number, border in enumerate(borders, 2):
            batches = [*batches, (number,)] if border else [*batches[:-1], (*batches[-1], number)]
        found.append(batches)
    return found


class PropertyCases(Promises):
    """Properties and long runs."""

    group = "Properties against a model"

    @case(limit=60.0)
    async def test_every_window_gives_what_a_list_gives(self, subject: JournalSubject) -> None:
        """R1. Each of the 576 windows with bounds and maximum from 0 to 7 gives what slicing a list gives.

        Why: the twelve windows of the existing suites leave room for every store's own off-by-one.
        """
        bounds = range(8)
        windows = list(itertools.product(bounds, bounds, [None, *bounds]))
        async with open_probe(subject) as probe:
            await probe.stored(1, (2, 3), 4, (5, 6))
            await _check_windows(probe, range(1, 7), windows)

    @case(limit=120.0)
    async def test_every_split_into_writes_reads_the_same(self, subject: JournalSubject) -> None:
        """R2. However 1 to 5 events are cut into atomic writes, every window gives the same.

        Why: how events were written together must not show when they are read.
        """
        async with subject.open() as journal:
            for count in range(1, 6):
                bounds = range(count + 2)
                windows = list(itertools.product(bounds, bounds, [None, 1, 2]))
                for batches in splits(count):
                    probe = await new_probe(subject, journal, "split")
                    await probe.stored(*batches)
                    await _check_windows(probe, range(1, count + 1), windows)

    @case(limit=120.0, threads=True)
    async def test_every_window_of_events_with_holes(self, subject: JournalSubject) -> None:
        """R1, R4, W11. Generated numbers with holes, generated windows: what comes is what slicing a list gives.

        Why: holes, pages and bounds are each easy alone; stores break where they meet.
        """
        async with subject.open() as journal:

            async def check(example: tuple[list[int], list[Window]]) -> None:
                steps, windows = example
                numbers = list(itertools.accumulate(steps))
                probe = await new_probe(subject, journal, "holes")
                await probe.stored(*numbers)
                await _check_windows(probe, numbers, windows)

            def strategy(st: Any) -> Any:
                bound = st.integers(-2, 40) | st.sampled_from([0, 1, MAX_SEQUENCE_NR])
                window = st.tuples(bound, bound, st.none() | st.integers(0, 12))
                return st.tuples(
                    st.lists(st.integers(1, 4), min_size=1, max_size=12), st.lists(window, min_size=1, max_size=8)
                )

            await for_all(subject, strategy, check)

    @case(requires=[Capability.DELETES], limit=120.0, threads=True)
    async def test_every_window_of_every_delete(self, subject: JournalSubject) -> None:
        """R1, D3, D6. After generated deletes, what comes is what a list gives whose head was cut.

        Why: deletes and windows meet at the first survivor.
        """
        async with subject.open() as journal:

            async def check(example: tuple[int, list[int], list[Window]]) -> None:
                count, deletes, windows = example
                probe = await new_probe(subject, journal, "deletes")
                await probe.stored(*range(1, count + 1))
                for number in deletes:
                    await probe.delete_to(number)
                floor = max(0, *(min(number, count) for number in deletes))
                await _check_windows(probe, range(floor + 1, count + 1), windows)
                await probe.highest_is(count)

            def strategy(st: Any) -> Any:
                bound = st.integers(-1, 14)
                window = st.tuples(bound, bound, st.none() | st.integers(0, 12))
                return st.tuples(
                    st.integers(1, 10),
                    st.lists(st.integers(-2, 12), min_size=1, max_size=3),
                    st.lists(window, min_size=1, max_size=5),
                )

            await for_all(subject, strategy, check)

    @case(limit=240.0, threads=True)
    async def test_long_runs_agree_with_the_model(self, subject: JournalSubject) -> None:
        """H2, C3, C4, X1. Generated runs of all operations and restarts agree with the memory journal, call by call.

        Why: each call alone is right in most stores; what one leaves behind for another is where they break.
        """
        operations = Operations(subject)

        async def check(example: list[Any]) -> None:
            await check_against_model(subject, example)

        await for_all(subject, operations.strategy, check)


async def _check_windows(
    probe: JournalProbe, numbers: Sequence[int], windows: Sequence[Window], lanes: int = 4
) -> None:
    async def lane(own: Sequence[Window]) -> None:
        for low, high, limit in own:
            events = await probe.replay(low, high, limit)
            expected = model_replay(numbers, (low, high, limit))
            expect_numbers(
                [event.sequence_nr for event in events], expected, f"of {list(numbers)}, window {low}..{high}, {limit}"
            )

    async with trio.open_nursery() as nursery:
        for first in range(lanes):
            nursery.start_soon(lane, windows[first::lanes])
