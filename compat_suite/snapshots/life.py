"""Promises of a snapshot store over its life: restarts, checkpoints, cancellation, scopes, faults."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
import trio.testing

from kafka_persist.abc import Capability
from kafka_persist.errors import BrokerError, InvalidPersistenceId, PersistenceError, StoreClosed, WriteOutcomeUnknown
from kafka_persist.model import LATEST, SelectionCriteria, SnapshotMetadata

from ..engine.case import Promises, case
from ..engine.expect import raises, require
from ..engine.resources import held, listed, settled
from ..engine.subject import SnapshotSubject
from ..errors import BrokenPromise, single
from ..journal.cancellation import at_every_await, cancel_at
from .probe import SnapshotProbe, open_five_snapshots, open_probe, up_to

DURABLE = [Capability.DURABLE]


class SnapshotLifeCases(Promises):
    """A snapshot store over its life."""

    group = "Restarts, scopes, faults"

    @case(requires=DURABLE)
    async def test_snapshots_survive_a_restart(self, subject: SnapshotSubject) -> None:
        """X1. After closing and opening again, the snapshots are there, with their metadata.

        Why: a snapshot that is gone costs a full replay, if the events are still there.
        """
        async with open_five_snapshots(subject) as probe:
            pass
        async with subject.open() as store:
            await probe.at(store).gives(15)
            if probe.keeps_many:
                await probe.at(store).gives(12, up_to(12))

    @case(requires=DURABLE)
    async def test_snapshots_survive_a_crash(self, subject: SnapshotSubject) -> None:
        """X1. What was saved is visible to another open store before the first one is closed.

        Why: a process that dies does not close its stores.
        """
        async with open_probe(subject) as probe:
            await probe.save(5)
            async with subject.open() as store:
                await probe.at(store).gives(5)

    @case(requires=DURABLE)
    async def test_deletes_survive_a_restart(self, subject: SnapshotSubject) -> None:
        """X1, S19. Deleted snapshots, by number and by criteria, stay deleted after a restart.

        Why: a delete that is kept in memory only brings old states back.
        """
        async with open_five_snapshots(subject) as probe:
            await probe.delete(15)
            await probe.delete_matching(up_to(12))
        async with subject.open() as store:
            await probe.at(store).gives(13 if probe.keeps_many else None, up_to(13))
            await probe.at(store).gives(None, up_to(12))
            await probe.at(store).gives(14 if probe.keeps_many else None)

    @case(requires=DURABLE)
    async def test_saves_after_deletes_survive_a_restart(self, subject: SnapshotSubject) -> None:
        """X1, S18. What was saved after a delete of the same numbers is there after a restart.

        Why: deletes that are applied again on opening must not catch later saves.
        """
        async with open_five_snapshots(subject) as probe:
            await probe.delete_matching(LATEST)
            await probe.save(14, "later")
        async with subject.open() as store:
            await probe.at(store).gives(14)

    @case(requires=DURABLE)
    async def test_replaced_snapshots_stay_replaced_after_a_restart(self, subject: SnapshotSubject) -> None:
        """X1, S10. After a restart the last save of a number counts, and a delete removes all of them.

        Why: older copies of a number come to light when the store reads its log from the start.
        """
        async with open_probe(subject) as probe:
            for version in range(3):
                await probe.save(5, f"version {version}")
        async with subject.open() as store:
            await probe.at(store).gives(5)
            await probe.at(store).delete(5)
        async with subject.open() as store:
            await probe.at(store).gives(None)

    @case(lacks=DURABLE)
    async def test_without_durability_nothing_is_half_there(self, subject: SnapshotSubject) -> None:
        """X1. A store that is not durable comes back with a snapshot whole, or with none.

        Why: metadata without its state is a damaged snapshot.
        """
        async with open_probe(subject) as probe:
            await probe.save(5)
        async with subject.open() as store:
            found = await store.load(probe.persistence_id)
            require(found is None or found.snapshot == "s-5", f"half a snapshot came back: {found!r:.80}")

    @case()
    async def test_every_call_is_a_checkpoint(self, subject: SnapshotSubject) -> None:
        """T1. Every public coroutine executes a checkpoint, also when the answer is in memory.

        Why: a loop around a call that never yields starves every other task.
        """
        async with open_probe(subject) as probe:
            for name, call in _calls(probe):
                try:
                    with trio.testing.assert_checkpoints():
                        await call()
                except AssertionError as error:
                    if isinstance(error, BrokenPromise):
                        raise
                    raise BrokenPromise(f"{name} returned without a checkpoint") from None

    @case()
    async def test_a_cancelled_scope_stops_every_call(self, subject: SnapshotSubject) -> None:
        """T1. In a scope that is cancelled already, every call raises Cancelled and changes nothing.

        Why: cancelled means that it did not happen.
        """
        async with open_probe(subject) as probe:
            await probe.save(5)
            for name, call in _calls(probe):
                finished = False
                with trio.CancelScope() as scope:
                    scope.cancel(reason="the case cancels before the call")
                    await call()
                    finished = True
                require(not finished, f"{name} ran to its end in a cancelled scope")
            await probe.gives(5)

    @case(limit=60.0)
    async def test_a_save_that_is_cancelled_is_whole_or_absent(self, subject: SnapshotSubject) -> None:
        """T2, S24. A save cancelled at any of its awaits leaves the new snapshot or the old one, never half of one.

        Why: a snapshot that cannot be read is an error for as long as it is the newest.
        """
        async with subject.open() as store:

            async def attempt(step: int) -> bool:
                probe = SnapshotProbe(subject, store, subject.id(f"save-{step}"))
                await probe.save(1)
                metadata = SnapshotMetadata(persistence_id=probe.persistence_id, sequence_nr=2)
                value = "x" * 10_000
                finished, hit = await cancel_at(step, lambda: store.save(metadata, value))
                found = await store.load(probe.persistence_id)
                legal = {(2, value)} if finished else {(1, "s-1"), (2, value)}
                got = None if found is None else (found.metadata.sequence_nr, found.snapshot)
                require(got in legal, f"await {step}: load gives {str(got)[:60]}")
                await probe.save(3)
                await probe.gives(3)
                return hit

            await at_every_await(attempt)

    @case(limit=60.0)
    async def test_a_load_that_is_cancelled_leaves_the_store_usable(self, subject: SnapshotSubject) -> None:
        """T3. A load cancelled at any of its awaits leaves the store as it was.

        Why: recoveries are cancelled all the time.
        """
        async with open_probe(subject) as probe:
            await probe.save(5, "x" * 10_000)

            async def attempt(step: int) -> bool:
                _, hit = await cancel_at(step, lambda: probe.store.load(probe.persistence_id))
                await probe.gives(5)
                return hit

            await at_every_await(attempt)

    @case(limit=60.0)
    async def test_a_delete_that_is_cancelled_can_be_repeated(self, subject: SnapshotSubject) -> None:
        """T1, S23. A delete cancelled at any of its awaits happened or did not; repeating it is safe.

        Why: retention is the first thing that a shutdown cancels.
        """
        async with subject.open() as store:

            async def attempt(step: int) -> bool:
                probe = SnapshotProbe(subject, store, subject.id(f"delete-{step}"))
                await probe.save(5)
                finished, hit = await cancel_at(step, lambda: probe.delete_matching(LATEST))
                found = await store.load(probe.persistence_id)
                require(found is None or not finished, f"await {step}: the delete returned, but the snapshot is there")
                await probe.delete_matching(LATEST)
                await probe.gives(None)
                return hit

            await at_every_await(attempt)

    @case(limit=20.0)
    async def test_leaving_the_block_ends_threads_and_descriptors(self, subject: SnapshotSubject) -> None:
        """T4. Opening, using and closing ten times leaves no thread and no descriptor (socket, file) behind.

        Why: a process that opens stores for years runs out of both.
        """
        async with open_probe(subject) as probe:
            await probe.save(1)
        before = held()
        for _ in range(10):
            async with open_probe(subject) as probe:
                await probe.save(1)
                await probe.gives(1)
        left = await settled(held, before, 2.0 * subject.options.scale)
        require(not left, f"ten openings and closings left {listed(left)}")

    @case()
    async def test_use_after_close_raises_store_closed(self, subject: SnapshotSubject) -> None:
        """T5. After the block ended, every call raises StoreClosed.

        Why: anything else looks like an outage, and is retried forever.
        """
        async with open_probe(subject) as probe:
            await probe.save(1)
        for name, call in _calls(probe):
            with raises(StoreClosed, f"{name} after close"):
                await call()

    @case()
    async def test_errors_of_the_body_come_out_bare(self, subject: SnapshotSubject) -> None:
        """T7. An error that is raised inside the block comes out as it is, not inside an exception group.

        Why: a group that the user did not make breaks every `except` around the block.
        """
        error = LookupError("the user's own")
        caught: BaseException | None = None
        try:
            async with subject.factory():
                raise error
        except trio.Cancelled:
            raise
        except BaseException as got:  # noqa: BLE001 - whatever comes out is what the case is about
            caught = got
        require(caught is error, f"expected the user's own error out of the block, got {_described(caught, error)}")

    @case()
    async def test_illegal_ids_are_refused(self, subject: SnapshotSubject) -> None:
        """P3. Loading and deleting for an empty or a too long id raises InvalidPersistenceId.

        Why: refused at the door is better than cut or replaced inside.
        """
        async with subject.open() as store:
            for name in ("", "x" * 1_001, "\ud800"):
                with raises(InvalidPersistenceId, "loading for an illegal id"):
                    await store.load(name)
                with raises(InvalidPersistenceId, "deleting for an illegal id"):
                    await store.delete_matching(name, LATEST)

    @case(needs=["faults"], limit=60.0)
    async def test_a_backend_that_is_down_is_never_no_snapshot(self, subject: SnapshotSubject) -> None:
        """X7, C23. With the backend down, load, save and delete are errors; None never comes.

        Why: None means "certainly none": the entity starts from nothing.
        """
        async with subject.faults() as faults, subject.open_faulty(faults) as store:
            probe = SnapshotProbe(subject, store, subject.id())
            await probe.save(5)
            await faults.stop()
            for name, call in _calls(probe):
                with raises((BrokerError, WriteOutcomeUnknown), f"{name} with the backend down"):
                    await call()
            await faults.start()
            await _again(lambda: probe.gives(5))

    @case(needs=["faults"], limit=60.0)
    async def test_a_save_with_an_unknown_outcome_can_be_repeated(self, subject: SnapshotSubject) -> None:
        """X2. If the answer to a save is lost, it is unknown or found out; saving again is safe and wins.

        Why: the entity will save again anyway.
        """
        async with subject.faults() as faults, subject.open_faulty(faults) as store:
            probe = SnapshotProbe(subject, store, subject.id())
            await probe.save(5, "first")
            await faults.lose_acknowledgement()
            try:
                await probe.save(5, "second")
            except WriteOutcomeUnknown:
                found = await store.load(probe.persistence_id)
                require(found is not None and found.snapshot in {"first", "second"}, f"load gives {found!r:.80}")
            await probe.save(5, "third")
            await probe.gives(5)

    @case(needs=["faults"], limit=60.0)
    async def test_a_load_ends_when_its_caller_gives_up(self, subject: SnapshotSubject) -> None:
        """T9, X8. A deadline around a load that is not answered ends it on time.

        Why: callers have deadlines of their own.
        """
        async with subject.faults() as faults, subject.open_faulty(faults) as store:
            probe = SnapshotProbe(subject, store, subject.id())
            await probe.save(5)
            await faults.hold()
            started = trio.current_time()
            with trio.move_on_after(0.01):
                try:
                    await store.load(probe.persistence_id, SelectionCriteria())
                except PersistenceError as error:
                    require(isinstance(error, BrokerError), f"an unanswered load raised {type(error).__name__}")
            took = trio.current_time() - started
            await faults.release()
            require(took <= 2.0 * subject.options.scale, f"the load outlived its deadline by {took:.2f} s")
            await probe.gives(5)


def _described(caught: BaseException | None, error: BaseException) -> str:
    wrapped = " inside an exception group" if caught is not None and single(caught) is error else ""
    return f"{type(caught).__name__}{wrapped}"


async def _again(call: Callable[[], Awaitable[None]], attempts: int = 50) -> None:
    for _ in range(attempts):
        try:
            return await call()
        except BrokerError:
            await trio.sleep(0.1)
    return await call()


def _calls(probe: SnapshotProbe) -> list[tuple[str, Callable[[], Awaitable[object]]]]:
    store, name = probe.store, probe.persistence_id
    metadata = SnapshotMetadata(persistence_id=name, sequence_nr=9)
    return [
        ("load", lambda: store.load(name)),
        ("save", lambda: store.save(metadata, "s-9")),
        ("delete", lambda: store.delete(metadata)),
        ("delete_matching", lambda: store.delete_matching(name, up_to(0))),
    ]
