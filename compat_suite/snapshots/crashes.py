"""Promises of snapshot stores under real crashes: another process is killed with SIGKILL; the survivor judges."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from kafka_persist.abc import Capability
from kafka_persist.model import LATEST, SnapshotMetadata

from ..engine.case import Promises, case
from ..engine.crash import crash_points, results_of
from ..engine.expect import require, told
from ..engine.subject import SnapshotSubject
from .probe import SnapshotProbe

DURABLE = [Capability.DURABLE]
ELSEWHERE = ["elsewhere"]


class SnapshotCrashCases(Promises):
    """Real crashes."""

    group = "Killed processes, snapshots"

    @case(requires=DURABLE, needs=ELSEWHERE, threads=True, limit=30.0)
    async def test_acknowledged_saves_and_deletes_survive_a_kill(self, subject: SnapshotSubject) -> None:
        """X1. A process that is killed right after a save, or a delete, was acknowledged has lost none of it.

        Why: what waits for a close, a timer or a full buffer was never stored.
        """
        name = subject.id()
        async with subject.another_process() as process:
            results_of(await process.run([_save(name, 1, "one"), _save(name, 2, "two")], kill_at=0))
            async with subject.open() as store:
                probe = _known(SnapshotProbe(subject, store, name), await store.load(name))
                await probe.gives(2)
            results_of(await process.run([("delete_matching", (name, LATEST))], kill_at=0))
        async with subject.open() as store:
            await SnapshotProbe(subject, store, name).gives(None)

    @case(requires=DURABLE, needs=ELSEWHERE, threads=True, limit=120.0)
    async def test_a_save_that_is_killed_is_whole_or_absent(self, subject: SnapshotSubject) -> None:
        """T2, S24. A process is killed at every line of a save: the new state is there whole, or the old one.

        Why: half of a state, or none where there was one, is worse than an old one.
        """
        old, new = ["old", {"size": 10}], ["new", {"lines": [f"line {number}" * 10 for number in range(500)]}]
        for number in (1, 2):  # replaces the old one; stands beside it

            def script(name: str, number: int = number) -> list[tuple[str, Any]]:
                return [_save(name, 1, old), _save(name, number, new)]

            async def judge(probe: SnapshotProbe, number: int = number) -> None:
                found = await probe.store.load(probe.persistence_id)
                got = None if found is None else (found.metadata.sequence_nr, found.snapshot)
                require(
                    got in ((1, old), (number, new)),
                    f"expected the old or the new state, got {str(got)[:80]}",
                )
                await probe.save(number, "later")
                await probe.gives(number)

            await _at_every_line(subject, script, judge)

    @case(requires=DURABLE, needs=ELSEWHERE, threads=True, limit=120.0)
    async def test_a_delete_that_is_killed_can_be_repeated(self, subject: SnapshotSubject) -> None:
        """X1, S23. A process is killed at every line of a delete: the state is there whole or gone; deleting again works.

        Why: a delete that stops half-way leaves a number that leads to nothing.
        """

        def script(name: str) -> list[tuple[str, Any]]:
            return [_save(name, 1, ["state"]), ("delete_matching", (name, LATEST))]

        async def judge(probe: SnapshotProbe) -> None:
            found = await probe.store.load(probe.persistence_id)
            got = None if found is None else found.snapshot
            require(got in (None, ["state"]), f"expected the state or none, got {got!r:.60}")
            await probe.delete_matching(LATEST)
            await probe.gives(None)
            await probe.save(1, "later")
            await probe.gives(1)

        await _at_every_line(subject, script, judge)


def _save(name: str, number: int, state: object) -> tuple[str, Any]:
    return "save", (SnapshotMetadata(persistence_id=name, sequence_nr=number), state)


def _known(probe: SnapshotProbe, found: Any) -> SnapshotProbe:
    require(found is not None, "expected snapshot 2, got none")
    probe.saved[2], probe.values[2] = found.metadata, "two"
    return probe


async def _at_every_line(
    subject: SnapshotSubject, script: Callable[[str], list[tuple[str, Any]]], judge: Callable[..., Awaitable[None]]
) -> None:
    """Kill the process at lines of the last call of a script, each time with a new id; then judge all of them."""
    killed: list[tuple[str, str]] = []
    async with subject.another_process() as process:
        for number, where in await crash_points(process, subject, lambda: script(subject.id())):
            name = subject.id()
            calls = script(name)
            ended = await process.run(calls, kill_at=number)
            results_of(ended)
            if len(ended.results) >= len(calls) - 1:
                killed.append((name, where))
    async with subject.open() as store:
        for name, where in killed:
            with told(f"killed at {where}"):
                await judge(SnapshotProbe(subject, store, name))
