"""Promises about what `Cancelled` tells of a snapshot store: nothing works on, and nothing comes back later."""

from __future__ import annotations

from kafka_persist.abc import Capability

from ..engine.case import Promises, case
from ..engine.expect import require
from ..engine.pauses import pauses
from ..engine.resources import listed, threads, working_threads
from ..engine.subject import SnapshotSubject
from ..journal.cancellation import at_every_await, cancel_at
from .probe import SnapshotProbe

LINE = "a line of forty characters, none is short"


def large(subject: SnapshotSubject) -> list[str]:
    """Return a state that takes several milliseconds to encode and to decode: less, and a thread is too quick to be seen."""
    return [LINE] * (min(1_000_000, subject.options.largest_payload) * 8 // 10 // (len(LINE) + 4))


class SnapshotCancelledCases(Promises):
    """What Cancelled tells."""

    group = "What Cancelled tells, snapshots"

    @case(limit=60.0)
    async def test_a_cancelled_save_does_not_come_back_later(self, subject: SnapshotSubject) -> None:
        """T2, C24. After a save that was cancelled at any of its awaits, the next save of that number counts for good.

        Why: what a forgotten thread saves later replaces the newer state.
        """
        left: list[SnapshotProbe] = []
        state = large(subject)
        async with subject.open() as store:

            async def attempt(step: int) -> bool:
                probe = SnapshotProbe(subject, store, subject.id(f"cancelled-{step}"))
                _, hit = await cancel_at(step, lambda: probe.save(1, state))
                await probe.save(1, "newer")
                await probe.gives(1)
                left.append(probe)
                return hit

            await at_every_await(attempt)
            for probe in left:
                await probe.gives(1)
        if subject.has(Capability.DURABLE):
            async with subject.open() as store:
                for probe in left:
                    await probe.at(store).gives(1)

    @case(limit=60.0)
    async def test_no_thread_works_on_after_a_cancelled_call(self, subject: SnapshotSubject) -> None:
        """T2, T4. When Cancelled came out of a save, a load or a delete, no thread works on it any more.

        Why: what a forgotten thread does later, it does to a caller that was told that nothing happens.
        """
        state = large(subject)
        async with pauses() as paused, subject.open() as store:
            probe = SnapshotProbe(subject, store, subject.id())
            await probe.save(1, state)
            before = threads()

            async def attempt(step: int) -> bool:
                going_on = False
                for _ in range(3):
                    for name, call in (
                        ("save", lambda: probe.save(1, state)),
                        ("load", lambda: store.load(probe.persistence_id)),
                        ("delete", lambda: probe.delete(2)),
                    ):
                        paused.begin_at(1)  # a thread may be done before anybody looks
                        _, hit = await cancel_at(step, call)
                        left = working_threads(before)
                        what = f"the {name} was cancelled at await {step}, and this still works: {listed(left)}"
                        require(not left, what)
                        paused.end()
                        going_on |= hit
                return going_on

            await at_every_await(attempt)
