"""Promises about calls that are made at the same moment: of one id in the order in which they were made."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio

from kafka_persist.abc import Capability, Journal
from kafka_persist.errors import SequenceNrConflict, WriteError
from kafka_persist.model import MAX_SEQUENCE_NR

from ..engine.case import Promises, case
from ..engine.expect import expect, expect_numbers, require, told
from ..engine.pauses import ThreadPause, pauses
from ..engine.resources import quick_turns
from ..engine.subject import JournalSubject
from .probe import JournalProbe, new_probe

ROUNDS = 60
FEWER_ROUNDS = 10


class RaceCases(Promises):
    """Calls at the same moment."""

    group = "Calls at the same moment"

    @case(limit=60.0)
    async def test_a_claim_decides_writes_that_are_under_way(self, subject: JournalSubject) -> None:
        """C4, C8. While an old writer writes, a new one claims: what the claim gave is all that there ever is of the old.

        Why: the new writer has read the history and decided; nothing may come into it from the past.
        """
        async with pauses() as paused, subject.open() as journal:
            with quick_turns():
                for turn in range(ROUNDS):
                    await _overtake(subject, journal, journal, turn, paused)

    @case(requires=[Capability.DURABLE, Capability.FENCING], limit=60.0)
    async def test_a_claim_in_another_store_decides_writes_that_are_under_way(self, subject: JournalSubject) -> None:
        """C4, C8, X1. The same with the claim in another store that is open on the same data.

        Why: a lock in memory orders the calls of one process only.
        """
        async with pauses() as paused, subject.open() as one, subject.open() as two:
            with quick_turns():
                for turn in range(ROUNDS):
                    await _overtake(subject, one, two, turn, paused)

    @case(requires=[Capability.DURABLE, Capability.FENCING], needs=["elsewhere"], threads=True, limit=60.0)
    async def test_a_claim_in_another_process_decides_writes_that_are_under_way(self, subject: JournalSubject) -> None:
        """C4, C8, X1. The same with the claim in another process.

        Why: this is a process that is believed dead and is not.
        """
        async with pauses() as paused, subject.open() as one, subject.open_elsewhere() as two:
            for turn in range(FEWER_ROUNDS):
                await _overtake(subject, one, two, turn, paused, of=FEWER_ROUNDS)

    @case(limit=20.0)
    async def test_the_highest_number_includes_a_write_that_is_under_way(self, subject: JournalSubject) -> None:
        """H3, C8. Asked for after a long write was begun, the highest number is that of its last event.

        Why: answered before the write is through, the number is one that is about to be used.
        """
        async with subject.open() as journal:
            for turn in range(10):
                probe = await new_probe(subject, journal, f"under-way-{turn}")
                last = 100 * (turn + 1)
                answers: list[Any] = []
                async with trio.open_nursery() as nursery:
                    await nursery.start(_begin, lambda p=probe, n=last: p.stored(range(1, n + 1)), [])
                    for _ in range(turn):
                        await trio.lowlevel.checkpoint()
                    for _ in range(3):
                        await nursery.start(
                            _begin, lambda p=probe: p.journal.highest_sequence_nr(p.persistence_id), answers
                        )
                expect(answers, [last] * 3, "the highest number, asked for while a write was under way")

    @case(requires=[Capability.DELETES], limit=20.0)
    async def test_a_delete_behind_queued_writes_takes_them(self, subject: JournalSubject) -> None:
        """D7, C7. Writes, a delete and writes of one id, made at once: the delete takes what was written before it.

        Why: clamped to what was stored when it was called, it leaves events; run too late, it takes too many.
        """
        async with subject.open() as journal:
            for turn, floor in enumerate((2, 3, 5, MAX_SEQUENCE_NR, 100)):
                probe = await new_probe(subject, journal, f"behind-{turn}")
                async with trio.open_nursery() as nursery:
                    for number in (1, 2, 3):
                        await nursery.start(_begin, lambda p=probe, n=number: p.stored(n), [])
                    await nursery.start(_begin, lambda p=probe, n=floor: p.delete_to(n), [])
                    for number in (4, 5):
                        await nursery.start(_begin, lambda p=probe, n=number: p.stored(n), [])
                await probe.shows([n for n in range(1, 6) if n > min(floor, 3)])
                await probe.highest_is(5)

    @case(limit=60.0)
    async def test_calls_of_all_kinds_take_effect_in_order(self, subject: JournalSubject) -> None:
        """C7, H3, D7. Writes, deletes, claims and highest numbers of one id, made at once, answer as if made in turn.

        Why: entities, retention and readers meet at one id; each relies on the order of its own calls.
        """
        chance = random.Random(subject.options.seed)  # noqa: S311 - a replayable schedule, no secret
        async with subject.open() as journal:
            for turn in range(15):
                await _in_order(subject, journal, chance, turn)

    @case(requires=[Capability.REFUSES_STALE_SEQUENCE_NRS], limit=20.0)
    async def test_a_number_written_twice_at_once_is_stored_once(self, subject: JournalSubject) -> None:
        """W8, C2. Of two writes of one number, made at once by one writer, the first is stored, the second refused.

        Why: a check that comes before the wait is made against a number that is no longer the highest.
        """
        async with subject.open() as journal:
            for turn in range(10):
                probe = await new_probe(subject, journal, f"twice-{turn}")
                outcomes: list[Any] = []
                async with trio.open_nursery() as nursery:
                    for copy in range(4):
                        event = probe.event(1, manifest=f"copy-{copy}")
                        await nursery.start(_begin, lambda p=probe, e=event: p.submit_event(e), outcomes)
                events = await probe.replay()
                expect([event.manifest for event in events], ["copy-0"], "what is stored of four writes of #1")
                refused = [type(outcome).__name__ for outcome in outcomes if isinstance(outcome, Exception)]
                expect(refused, ["SequenceNrConflict"] * 3, "what the other three writes raised")


async def _begin(
    call: Callable[[], Awaitable[object]],
    outcomes: list[Any],
    task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Make a call; the starter goes on as soon as it yields. Errors of writes are outcomes."""
    task_status.started()
    try:
        outcomes.append(await call())
    except (WriteError, SequenceNrConflict) as error:
        outcomes.append(error)


async def _overtake(
    subject: JournalSubject, one: Journal, two: Journal, turn: int, paused: ThreadPause, of: int = ROUNDS
) -> None:
    """Let a writer write on, claim from it, and compare what each was told; each turn claims and pauses a thread a little later."""
    old = JournalProbe(subject, one, subject.id(f"race-{turn}"))
    await old.claim()
    new = old.successor(two)
    acknowledged: list[int] = []
    progress = trio.Event()

    async def write_on() -> None:
        try:
            for number in range(1, 40):
                results = await one.write([old.batch(number)])
                if list(results) == [None]:
                    acknowledged.append(number)
                    progress.set()
        except (WriteError, SequenceNrConflict):
            pass  # it is fenced now
        finally:
            progress.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_on)
        if turn % 3:
            await progress.wait()  # the next write is just being handed over
        for _ in range(turn // 3):
            await trio.lowlevel.checkpoint()
        paused.begin(turn, of)
        highest = await new.claim()
        paused.end()
        before = [event.sequence_nr for event in await new.replay()]
        if subject.has(Capability.FENCING):
            expect_numbers(before, range(1, highest + 1), f"the replay after a claim that gave {highest}")
            with told(f"the new writer, whose claim gave {highest}"):
                await new.stored(highest + 1)
    numbers = [event.sequence_nr for event in await new.replay() if event.writer == old.writer]
    require(
        set(acknowledged) <= set(numbers),
        f"acknowledged {acknowledged}, but the replay has {numbers} of the old writer",
    )
    if subject.has(Capability.FENCING):
        expect_numbers(numbers, range(1, highest + 1), "the old writer's events, when both are through")
        expect_numbers(acknowledged, range(1, len(acknowledged) + 1), "what the old writer was told is stored")


async def _in_order(subject: JournalSubject, journal: Journal, chance: random.Random, turn: int) -> None:
    """Make calls at once, and compare each answer with what it is if they are made one after the other."""
    probe = await new_probe(subject, journal, f"order-{turn}")
    highest = floor = 0
    kinds = ["write", "write", "write", "highest"]
    kinds += ["delete"] * subject.has(Capability.DELETES) + ["claim"]
    outcomes: list[tuple[str, list[Any], int | None]] = []
    async with trio.open_nursery() as nursery:
        for _ in range(12):
            kind = chance.choice(kinds)
            outcome: list[Any] = []
            expected: int | None = None
            call: Callable[[], Awaitable[object]]
            if kind == "write":
                highest += 1
                call = partial(probe.stored, highest)
            elif kind == "highest":
                expected, call = highest, partial(journal.highest_sequence_nr, probe.persistence_id)
            elif kind == "delete":
                number = chance.choice([highest - 1, highest, highest + 3, MAX_SEQUENCE_NR])
                floor = max(floor, min(number, highest))
                call = partial(probe.delete_to, number)
            else:
                probe = probe.successor()
                expected, call = highest, probe.claim
            outcomes.append((f"{kind} no. {len(outcomes) + 1}", outcome, expected))
            await nursery.start(_begin, call, outcome)
    for name, outcome, wanted in outcomes:
        expect(outcome, [wanted], f"{name} of 12 calls made at once (seed {subject.options.seed}, turn {turn})")
    await probe.shows(range(floor + 1, highest + 1))
    await probe.highest_is(highest)
