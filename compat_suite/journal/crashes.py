"""Promises under real crashes: another process has the store open and is killed with SIGKILL; the survivor judges.

The other process is killed at lines of the store's own code: most of them the first or the last time that an operation runs
one of its lines, those first that run seldom, the others all along its way; as many as the subject's `crash_points` says. A crash between two lines of code is found
without luck; what only the operating system can lose (a disk without power) is beyond SIGKILL.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from kafka_persist.abc import Capability
from kafka_persist.errors import WriterFenced
from kafka_persist.model import MAX_SEQUENCE_NR

from ..engine.case import Promises, case
from ..engine.crash import crash_points, results_of
from ..engine.expect import expect, raises, require, told
from ..engine.history import numbers as words
from ..engine.subject import JournalSubject
from .probe import JournalProbe

DURABLE = [Capability.DURABLE]
ELSEWHERE = ["elsewhere"]
LARGE = 60


class CrashCases(Promises):
    """Real crashes."""

    group = "Killed processes"

    @case(requires=DURABLE, needs=ELSEWHERE, threads=True, limit=30.0)
    async def test_acknowledged_events_survive_a_kill(self, subject: JournalSubject) -> None:
        """X1, C5. A process that is killed right after its writes were acknowledged has lost none of them.

        Why: what waits for a close, a timer or a full buffer was never stored.
        """
        probe = _unopened(subject)
        writes = [probe.split([(1, 2, 3)]), probe.split([4]), probe.split([5, 6])]
        async with subject.another_process() as process:
            script = [("claim", (probe.persistence_id, probe.writer)), *(("write", (each,)) for each in writes)]
            results_of(await process.run(script, kill_at=0))
        probe.wrote(write for each in writes for write in each)
        async with subject.open() as journal:
            await _goes_on(probe.at(journal), [1, 2, 3, 4, 5, 6])

    @case(requires=[*DURABLE, Capability.DELETES], needs=ELSEWHERE, threads=True, limit=30.0)
    async def test_acknowledged_deletes_survive_a_kill(self, subject: JournalSubject) -> None:
        """X1, D9. A delete that was acknowledged right before the kill is done; the highest number is kept.

        Why: events that come back after a delete are a breach of whatever asked for it.
        """
        probe = _unopened(subject)
        write = probe.split([1, 2, 3, 4, 5])
        name = probe.persistence_id
        script = [("claim", (name, probe.writer)), ("write", (write,)), ("delete_to", (name, 3))]
        async with subject.another_process() as process:
            results_of(await process.run(script, kill_at=0))
            results_of(await process.run([("delete_to", (name, MAX_SEQUENCE_NR))], kill_at=0))
        async with subject.open() as journal:
            await _goes_on(probe.at(journal), [], 5)

    @case(requires=[*DURABLE, Capability.FENCING], needs=ELSEWHERE, threads=True, limit=30.0)
    async def test_an_acknowledged_claim_survives_a_kill(self, subject: JournalSubject) -> None:
        """X1, C4. A claim counts although its process was killed right after it: the older writer stays fenced.

        Why: a claim that dies with its process lets the writer write that it had told everybody is out.
        """
        async with subject.open() as journal, subject.another_process() as process:
            probe = JournalProbe(subject, journal, subject.id())
            await probe.claim()
            await probe.stored(1)
            results_of(await process.run([("claim", (probe.persistence_id, uuid.uuid4()))], kill_at=0))
            with raises(WriterFenced, "a write of the writer that was claimed away by a process that died"):
                await journal.write([probe.batch(2)])
            await _goes_on(probe, [1])

    @case(requires=[*DURABLE, Capability.MULTI_EVENT_ATOMIC_WRITES], needs=ELSEWHERE, threads=True, limit=120.0)
    async def test_an_atomic_write_that_is_killed_is_whole_or_absent(self, subject: JournalSubject) -> None:
        """T2, X5. A process is killed at every line of a large atomic write: all of it is there, or nothing.

        Why: half of a command is a state that never was.
        """
        write = range(2, LARGE + 2)

        def script(probe: JournalProbe) -> list[tuple[str, Any]]:
            return [*_one(probe), ("write", ([probe.batch(*write)],))]

        async def judge(probe: JournalProbe) -> None:
            events = await probe.replay()
            numbers = [event.sequence_nr for event in events]
            legal = [[1], [1, *write]]
            require(numbers in legal, f"of #1 and an atomic #2...{LARGE + 1} {words(numbers)} are there")
            await _goes_on(probe, numbers)

        await _at_every_line(subject, script, judge)

    @case(requires=[*DURABLE, Capability.DELETES], needs=ELSEWHERE, threads=True, limit=120.0)
    async def test_a_delete_that_is_killed_is_whole_or_absent(self, subject: JournalSubject) -> None:
        """D9, X1. A process is killed at every line of a delete: it is done or not, and can be repeated.

        Why: a part of a delete is a gap in the history; a highest number that went with it is a number used twice.
        """

        def script(probe: JournalProbe) -> list[tuple[str, Any]]:
            writes = probe.split([1, *range(2, LARGE + 1)])
            first = [("claim", (probe.persistence_id, probe.writer)), ("write", (writes,))]
            return [*first, ("delete_to", (probe.persistence_id, LARGE))]

        async def judge(probe: JournalProbe) -> None:
            numbers = [event.sequence_nr for event in await probe.replay()]
            legal = [[], list(range(1, LARGE + 1))]
            require(numbers in legal, f"of #1...{LARGE} {words(numbers)} are left, not all or nothing")
            expect(await probe.journal.highest_sequence_nr(probe.persistence_id), LARGE, "the highest number")
            await probe.delete_to(LARGE - 1)
            left = [n for n in numbers if n >= LARGE]
            await _goes_on(probe, left, LARGE)

        await _at_every_line(subject, script, judge)

    @case(requires=DURABLE, needs=ELSEWHERE, threads=True, limit=120.0)
    async def test_a_claim_that_is_killed_leaves_the_id_usable(self, subject: JournalSubject) -> None:
        """T1, C4. A process is killed at every line of a claim: nothing is lost, and the next claim works at once.

        Why: what a dead process has locked, nobody unlocks.
        """

        def script(probe: JournalProbe) -> list[tuple[str, Any]]:
            return [*_one(probe), ("claim", (probe.persistence_id, uuid.uuid4()))]

        async def judge(probe: JournalProbe) -> None:
            await _goes_on(probe, [1])

        await _at_every_line(subject, script, judge)


def _unopened(subject: JournalSubject) -> JournalProbe:
    return JournalProbe(subject, None, subject.id())  # type: ignore[arg-type]


def _one(probe: JournalProbe) -> list[tuple[str, Any]]:
    return [("claim", (probe.persistence_id, probe.writer)), ("write", ([probe.batch(1)],))]


async def _at_every_line(
    subject: JournalSubject, script: Callable[[JournalProbe], list[tuple[str, Any]]], judge: Callable[..., Any]
) -> None:
    """Kill the process at lines of the last call of a script, each time with a new id; then judge all of them."""
    killed: list[tuple[JournalProbe, str]] = []
    async with subject.another_process() as process:
        for number, where in await crash_points(process, subject, lambda: script(_unopened(subject))):
            probe = _unopened(subject)
            calls = script(probe)
            ended = await process.run(calls, kill_at=number)
            results_of(ended)
            if len(ended.results) >= len(calls) - 1:
                probe.wrote(write for name, (argument, *_) in calls if name == "write" for write in argument)
                killed.append((probe, where))
    async with subject.open() as journal:
        for probe, where in killed:
            with told(f"killed at {where}"):
                await judge(probe.at(journal))
    async with subject.open() as journal:
        for probe, where in killed:
            with told(f"killed at {where}, and used again"):
                await probe.at(journal).shows(probe.left)


async def _goes_on(probe: JournalProbe, numbers: Sequence[int], highest: int | None = None) -> None:
    """Check that a new writer finds these events and writes the next; note what is there then."""
    await probe.shows(numbers)
    successor, found = await probe.next_writer()
    expect(found, numbers[-1] if highest is None else highest, "the next claim")
    await successor.stored(found + 1)
    probe.left[:] = [*numbers, found + 1]
    await successor.shows(probe.left)
