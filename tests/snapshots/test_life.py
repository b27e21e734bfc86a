"""Opening, closing, cancelling: nothing outlives the block, nothing is half done."""

from __future__ import annotations

import pytest
import trio

from kafka_persist.errors import ConnectError, StoreClosed, WriteOutcomeUnknown
from kafka_persist.model import SelectionCriteria, SnapshotMetadata

COMMIT = ord("s")
CHUNK = ord("c")


def of(number):
    return SnapshotMetadata(persistence_id="id", sequence_nr=number)


def is_kind(kind):
    return lambda key: key[1] == kind


async def until(condition):
    with trio.fail_after(10):
        while not condition():
            await trio.testing.wait_all_tasks_blocked()


async def test_every_call_after_the_block_is_refused(kafka, name):
    async with kafka.open() as store:
        pass
    metadata = SnapshotMetadata(persistence_id=name, sequence_nr=1)
    for call in (
        lambda: store.save(metadata, 1),
        lambda: store.load(name),
        lambda: store.delete(metadata),
        lambda: store.delete_matching(name, SelectionCriteria()),
    ):
        with pytest.raises(StoreClosed):
            await call()
    assert "closed" in repr(store)


async def test_no_broker_is_an_error_within_the_configured_time(kafka_at):
    class Nowhere:
        bootstrap_servers = "127.0.0.1:1"

    with trio.fail_after(10), pytest.raises(ConnectError, match="no Kafka broker answered"):
        async with kafka_at(Nowhere).open(connect_timeout=0.3):
            pass


async def test_an_error_in_the_block_comes_out_bare(kafka):
    with pytest.raises(KeyError, match="mine"):
        async with kafka.open():
            raise KeyError("mine")


async def test_cancelling_the_block_ends_it(kafka, name):
    with trio.fail_after(20), trio.CancelScope() as scope:
        async with kafka.open() as store:
            await store.load(name)
            scope.cancel(reason="the test wants it")
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_a_load_that_runs_when_the_store_closes_says_so(compacted_log, open_on):
    """Loads are tasks of the store's nursery: closing ends them, also those of tasks outside of the block."""
    log = compacted_log()
    outcome = []

    async def load(store):
        with pytest.raises(StoreClosed, match="closed during this call"):
            await store.load("id")
        outcome.append("refused")

    async def never(*_args):
        await trio.sleep_forever()

    log.scan = never
    async with trio.open_nursery() as nursery:
        async with open_on(log) as store:
            outside = store  # on purpose: the task outlives the block
            nursery.start_soon(load, outside)
            await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(1):
            await until(lambda: outcome == ["refused"])


async def test_closing_waits_for_a_save_that_was_handed_over(compacted_log, open_on):
    log = compacted_log()
    log.holds = is_kind(COMMIT)
    saved = []

    async def save(store):
        saved.append(await store.save(of(1), "x"))

    async def answer():
        await until(lambda: log.held)
        await trio.testing.wait_all_tasks_blocked()
        log.release()

    async with trio.open_nursery() as nursery:
        async with open_on(log) as store:
            outside = store  # on purpose: the task outlives the block
            nursery.start_soon(save, outside)
            await until(lambda: log.held)
            nursery.start_soon(answer)
        await until(lambda: saved)


async def test_closing_by_force_leaves_a_save_unknown(compacted_log, open_on):
    """A store that is cancelled waits for nobody; what has no answer may or may not be stored."""
    log = compacted_log()
    log.holds = is_kind(COMMIT)
    outcome = []

    async def save(store):
        with pytest.raises(WriteOutcomeUnknown, match="closed before the outcome was known"):
            await store.save(of(1), "x")
        outcome.append("unknown")

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with open_on(log) as store:
                outside = store  # on purpose: the task outlives the block
                nursery.start_soon(save, outside)
                await until(lambda: log.held)
                scope.cancel(reason="the test wants it")
                await trio.sleep_forever()
        await until(lambda: outcome == ["unknown"])


async def test_a_save_cancelled_among_its_chunks_is_not_stored_and_leaves_no_chunks(
    compacted_log, open_on, topic_of_id
):
    log = compacted_log()
    async with open_on(log) as store:
        await store.save(of(1), "old")
        log.holds = is_kind(CHUNK)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.save, of(2), "x" * 3000)
                await until(lambda: log.held)
                scope.cancel(reason="the test wants it")
        assert scope.cancelled_caught
        assert (await store.load("id")).snapshot == "old"
    last = {record.key: record.value for record in log.topics[topic_of_id]}
    assert not [key for key, value in last.items() if key[1] == CHUNK and value is not None]


async def test_a_save_cancelled_behind_its_commit_is_stored_and_returns(compacted_log, open_on):
    """After the last record was handed over the call waits for the answer, and gives it."""
    log = compacted_log()
    log.holds = is_kind(COMMIT)
    saved = []

    async def save(store):
        saved.append(await store.save(of(2), "x" * 3000))

    async with open_on(log) as store, trio.open_nursery() as nursery:
        nursery.start_soon(save, store)
        await until(lambda: log.held)
        nursery.cancel_scope.cancel(reason="the test wants it")
        with trio.CancelScope(shield=True):
            await trio.testing.wait_all_tasks_blocked()
            assert not saved
            log.release()
    assert [metadata.sequence_nr for metadata in saved] == [2]


async def test_a_save_that_waits_its_turn_can_be_cancelled(compacted_log, open_on, topic_of_id):
    log = compacted_log()
    log.holds = is_kind(COMMIT)
    async with open_on(log) as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.save, of(1), "first")
        await until(lambda: log.held)
        with trio.move_on_after(0.01) as scope:
            await store.save(of(2), "second")
        assert scope.cancelled_caught
        log.holds = lambda _key: False
        log.release()
    assert len([record for record in log.topics[topic_of_id] if record.key[1] == COMMIT]) == 1


async def test_a_snapshot_is_what_it_was_when_save_was_called(compacted_log, open_on):
    """Changing the object while the call runs changes nothing that is stored."""
    log = compacted_log()
    state = {"count": 1}
    async with open_on(log) as store:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.save, of(1), state)
            await until(lambda: log.specs)
            state["count"] = 2
        assert (await store.load("id")).snapshot == {"count": 1}


async def test_an_unknown_outcome_says_so_and_saving_again_is_safe(compacted_log, open_on):
    log = compacted_log()
    async with open_on(log) as store:
        await store.save(of(0), "earlier")
        log.dies_at, log.lands = log.appends, True
        with pytest.raises(WriteOutcomeUnknown, match="may or may not be stored"):
            await store.save(of(1), "first")
        log.dies_at = None
        await store.save(of(1), "second")
        assert (await store.load("id")).snapshot == "second"


async def test_a_lost_chunk_means_certainly_not_stored(compacted_log, open_on):
    log = compacted_log()
    async with open_on(log) as store:
        await store.save(of(0), "earlier")
        log.dies_at = log.appends + 2
        with pytest.raises(ConnectError, match="certainly not stored"):
            await store.save(of(1), "x" * 3000)
        log.dies_at = None
        assert (await store.load("id")).snapshot == "earlier"


async def test_a_save_whose_tidying_fails_has_succeeded(compacted_log, open_on, caplog):
    """The snapshot is stored; what it replaced goes with the next save."""
    log = compacted_log()
    async with open_on(log, keep=1) as store:
        await store.save(of(1), "old")
        log.dies_at = log.appends + 1
        assert (await store.save(of(2), "new")).sequence_nr == 2
        assert "are not removed yet" in caplog.text
        log.dies_at = None
        await store.save(of(3), "newer")
        assert await store.load("id", SelectionCriteria(max_sequence_nr=2)) is None


async def test_ids_that_nobody_writes_to_take_no_memory(compacted_log, open_on):
    log = compacted_log()
    async with open_on(log) as store:
        for number in range(50):
            await store.save(SnapshotMetadata(persistence_id=f"id-{number}", sequence_nr=1), number)
        assert "0 ids written to" in repr(store)
