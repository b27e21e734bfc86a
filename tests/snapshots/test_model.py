"""The store on a log in memory that is compacted at random and dies at any record, beside the memory store."""

from __future__ import annotations

import itertools
from contextlib import suppress

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_persist._core.snapshot_index import SnapshotIndex
from kafka_persist._core.snapshot_index_record import decode_index, encode_index
from kafka_persist.driver import Record
from kafka_persist.errors import PersistenceError, SnapshotUnreadable, WriteOutcomeUnknown
from kafka_persist.memory import MemoryBackend, open_memory_snapshot_store
from kafka_persist.model import SelectionCriteria, SnapshotMetadata

PER_ID = "snapshot-id"
SMALL = st.integers(0, 6)


def bounds(low, high, early, late):
    return SelectionCriteria(min_sequence_nr=low, max_sequence_nr=high, min_timestamp=early, max_timestamp=late)


CRITERIA = st.builds(bounds, SMALL, SMALL, st.integers(0, 30), st.integers(10, 60)) | st.just(SelectionCriteria())
STEPS = st.lists(
    st.tuples(st.just("save"), SMALL, st.sampled_from([5, 400, 600, 1300]))
    | st.tuples(st.just("delete"), SMALL, st.sampled_from([0, 0, 12, 20]))
    | st.tuples(st.just("delete_matching"), CRITERIA)
    | st.tuples(st.just("load"), CRITERIA)
    | st.tuples(st.just("compact"), st.integers(0, 30), st.booleans())
    | st.tuples(st.just("reopen")),
    max_size=25,
)


class Clock:
    """Advances by one with every look."""

    def __init__(self):
        self.time = 10

    def __call__(self):
        self.time += 1
        return self.time


def of(number, timestamp=0):
    return SnapshotMetadata(persistence_id="id", sequence_nr=number, timestamp=timestamp, metadata=number)


async def everything(store):
    """All snapshots, with their metadata."""
    found = []
    for number in range(8):
        criteria = SelectionCriteria(min_sequence_nr=number, max_sequence_nr=number)
        found.append(await store.load("id", criteria))
    return found


async def do(store, step):
    match step:
        case ("save", number, size):
            await store.save(of(number), "x" * size)
        case ("delete", number, timestamp):
            await store.delete(of(number, timestamp))
        case ("delete_matching", criteria):
            await store.delete_matching("id", criteria)


class Twins:
    """The store under test and the memory store, with the same timestamps."""

    def __init__(self, log, open_on, topic, keep):
        self.log, self.open_on, self.topic, self.keep = log, open_on, topic, keep
        self.backend = MemoryBackend()

    async def run(self, steps):
        self.model_clock = Clock()
        self.backend.clock = lambda: self.stamp
        async with open_memory_snapshot_store(self.backend, keep=self.keep) as model:
            for reopened, part in itertools.groupby(steps, key=lambda step: step[0] == "reopen"):
                if not reopened:
                    async with self.open_on(self.log, keep=self.keep, clock=self.model_clock) as store:
                        for step in part:
                            await self.step(store, model, step)

    async def step(self, store, model, step):
        if step[0] == "save":
            saved = await store.save(of(step[1]), "x" * step[2])
            self.stamp = saved.timestamp
        if step[0] == "compact":
            self.log.compact(self.topic, until=step[1], tombstones=step[2])
        elif step[0] == "load":
            assert await store.load("id", step[1]) == await model.load("id", step[1])
        elif step[0] == "save":
            await do(model, step)
        else:
            await do(store, step)
            await do(model, step)
        assert await everything(store) == await everything(model)


@settings(max_examples=60)
@given(steps=STEPS, keep=st.sampled_from([1, 2, 100]))
async def test_it_does_what_the_memory_store_does(compacted_log, open_on, topic_of_id, steps, keep):
    """Whatever is saved, deleted, compacted and reopened: the same snapshots as the executable specification."""
    await Twins(compacted_log(), open_on, topic_of_id, keep).run(steps)


@settings(max_examples=60)
@given(steps=STEPS)
async def test_the_index_record_never_changes_the_answer(compacted_log, open_per_id, steps):
    """Reading from the index record on gives what reading the whole log gives."""
    log = compacted_log()
    async with open_per_id(log, clock=Clock()) as store:
        for step in steps:
            if step[0] == "compact":
                log.compact(PER_ID, until=step[1], tombstones=step[2])
            else:
                await do(store, step)
    records = log.topics.get(PER_ID, [])
    whole = SnapshotIndex("id")
    whole.fold(records)
    for record in records:
        index = decode_index("id", record)
        if index is not None:
            index.fold(records)
            assert index.holes or {save.key for save in index.visible().values()} == {
                save.key for save in whole.visible().values()
            }


STORY = [
    ("save", 1, 5),
    ("save", 2, 1300),
    ("save", 2, 1200),
    ("save", 3, 1300),
    ("save", 2, 5),
    ("delete", 3, 0),
    ("save", 3, 600),
    ("delete_matching", bounds(2, 3, 0, 1000)),
    ("save", 4, 1300),
]


async def run_until_death(store, story):
    """Carry out steps until one is not confirmed; return how many were."""
    for done, step in enumerate(story):
        try:
            await do(store, step)
        except PersistenceError:
            return done
    return len(story)


async def states_of(open_on, log, story):
    """What can be loaded before and after each step, when nothing goes wrong; without timestamps."""
    states = [{}]
    async with open_on(log, keep=2, clock=Clock()) as store:
        for step in story:
            await do(store, step)
            states.append(contents(await everything(store)))
    return states


def contents(found):
    return {each.metadata.sequence_nr: each.snapshot for each in found if each is not None}


@pytest.mark.parametrize("lands", [False, True], ids=["the last record is lost", "the last record lands"])
async def test_death_at_any_record_leaves_the_state_before_or_after(compacted_log, open_on, topic_of_id, lands):
    """A store that dies anywhere leaves what was there before the call or what is there after it, nothing between."""
    perfect = compacted_log()
    states = await states_of(open_on, perfect, STORY)
    for dies_at in range(perfect.appends):
        log = compacted_log()
        log.dies_at, log.lands = dies_at, lands
        async with open_on(log, keep=2, clock=Clock()) as store:
            done = await run_until_death(store, STORY)
        log.dies_at = None
        async with open_on(log, keep=2, clock=Clock()) as store:
            for compacted in (False, True):
                if compacted:
                    log.compact(topic_of_id, tombstones=True)
                found = contents(await everything(store))
                assert is_between(found, *states[done : done + 2]), (dies_at, done)


def is_between(found, before, after=None):
    after = before if after is None else after
    if len(before) > len(after) + 1:  # several are deleted, one after the other
        return all(found.get(number) in {before.get(number), after.get(number)} for number in {*found, *before})
    return is_like(found, before) or is_like(found, after)


def is_like(found, state):
    # Retention may not have come yet: more old ones than the newest two are harmless, fewer or others are not.
    newest = sorted(state)[-2:]
    beyond = set(found) - set(state)
    return all(found.get(number) == state[number] for number in newest) and all(
        number < min(newest, default=0) for number in beyond
    )


async def test_the_next_save_repairs_what_a_death_left_behind(compacted_log, open_on, topic_of_id):
    """After a death anywhere, one save leaves no record that nobody needs, but for chunks that may still be in use."""
    for dies_at in range(1, 40):
        log = compacted_log()
        log.dies_at = dies_at
        clock = Clock()
        async with open_on(log, keep=1, clock=clock) as store:
            await run_until_death(store, STORY)
        log.dies_at = None
        clock.time += 3 * 3600 * 1000
        async with open_on(log, keep=1, clock=clock) as store:
            await store.save(of(9), "last")
        log.compact(topic_of_id, until=log.ends[topic_of_id], tombstones=True)
        left = {record.key for record in log.topics[topic_of_id] if record.value is not None}
        assert len(left) == 2, (dies_at, left)  # the snapshot, and the index, or how many partitions there are


async def test_a_replaced_save_never_comes_back(compacted_log, open_on):
    """A save that was replaced but not removed yet goes before the one that replaced it, wherever a deletion dies."""
    for dies_after in range(4):
        log = compacted_log()
        async with open_on(log) as store:
            await store.save(of(1), "replaced")
            log.refuses = lambda _key, value: value is None
            await store.save(of(1), "newer")
            log.refuses = lambda _key, _value: False
            log.dies_at = log.appends + dies_after
            with suppress(PersistenceError):
                await store.delete(of(1))
        async with open_on(log) as store:
            assert contents(await everything(store)) in ({1: "newer"}, {})


async def test_a_save_that_lands_late_does_not_replace_a_newer_one(compacted_log, open_on):
    """Unknown is unknown; but what was saved and confirmed afterwards stays the one that counts."""
    log = compacted_log()
    log.delays = lambda key: key[1] == ord("s")
    async with open_on(log) as store:
        with pytest.raises(WriteOutcomeUnknown):
            await store.save(of(1), "late")
        log.delays = lambda _key: False
        await store.save(of(2), "another")
        await store.save(of(1), "newer")
        log.land()
        assert contents(await everything(store)) == {1: "newer", 2: "another"}
        await store.delete(of(1))
        assert contents(await everything(store)) == {2: "another"}


async def test_what_replaces_a_snapshot_has_a_later_timestamp(compacted_log, open_on):
    """Also when the clock stands still or goes back: deleting the old one by its timestamp leaves the new one."""
    times = [1000, 1000, 900]
    async with open_on(compacted_log(), clock=lambda: times[0]) as store:
        first = await store.save(of(1), "first")
        for value in ("second", "third"):
            times.pop(0)
            await store.save(of(1), value)
        await store.delete(first)
        found = await store.load("id")
    assert (found.snapshot, found.metadata.timestamp) == ("third", 1002)


async def test_snapshots_of_one_moment_are_told_apart_by_their_numbers(compacted_log, open_on):
    async with open_on(compacted_log(), clock=lambda: 1000) as store:
        await store.save(of(2), "two")
        await store.save(of(1), "one")
        assert (await store.load("id", SelectionCriteria(max_timestamp=1000))).snapshot == "two"
        await store.delete(of(2, 1000))
        assert contents(await everything(store)) == {1: "one"}


async def test_chunks_that_may_still_be_in_use_are_left_alone(compacted_log, open_on, topic_of_id):
    """A save does not remove the chunks that another process is writing."""
    log = compacted_log()
    async with open_on(log) as slow, open_on(log) as fast, trio.open_nursery() as nursery:
        log.holds = lambda key: key[1] == ord("c")
        nursery.start_soon(slow.save, of(1), "x" * 1300)
        while not log.held:
            await trio.testing.wait_all_tasks_blocked()
        log.holds = lambda _key: False
        await fast.save(of(2), "fast")
        log.release()
    log.compact(topic_of_id, tombstones=True)
    async with open_on(log) as store:
        assert contents(await everything(store)) == {1: "x" * 1300, 2: "fast"}


@settings(max_examples=30)
@given(steps=STEPS, seed=st.randoms(use_true_random=False))
async def test_two_stores_at_once_never_make_a_snapshot_unreadable(compacted_log, open_on, topic_of_id, steps, seed):
    """Whatever two processes do to one id at the same time, every load gives a snapshot or certainly none."""
    log = compacted_log()

    async def work(mine):
        async with open_on(log, keep=2) as store:
            for step in mine:
                if step[0] == "compact":
                    log.compact(topic_of_id, until=step[1])
                await do(store, step)
                await everything(store)
                for _ in range(seed.randrange(5)):
                    await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, steps[::2])
        nursery.start_soon(work, steps[1::2])


async def test_a_stale_index_record_is_only_slower(compacted_log, open_per_id):
    """An index record that lands late, behind other saves, hides none of them."""
    log = compacted_log()
    async with open_per_id(log) as store:
        await store.save(of(1), "one")
        stale = log.topics[PER_ID][-1]
        await store.save(of(2), "two")
        log.append(PER_ID, stale.key, stale.value)
        assert contents(await everything(store)) == {1: "one", 2: "two"}


async def test_a_damaged_index_record_is_passed_over(compacted_log, open_per_id):
    """The index is a short cut: without it the whole log tells the same."""
    log = compacted_log()
    async with open_per_id(log) as store:
        await store.save(of(1), "one")
        index = log.topics[PER_ID][-1]
        log.append(PER_ID, index.key, index.value[:-1])
        assert contents(await everything(store)) == {1: "one"}


async def test_an_index_record_that_lies_cannot_make_a_snapshot_vanish_in_silence(compacted_log, open_per_id):
    """An index that names a snapshot at a wrong place is not believed: the whole log is read."""
    log = compacted_log()
    async with open_per_id(log) as store:
        await store.save(of(1), "x" * 600)
        await store.save(of(2), "y" * 600)
        index = decode_index("id", log.topics[PER_ID][-1])
        for save in index.saves.values():
            save.first_offset = save.offset
        log.append(PER_ID, log.topics[PER_ID][-1].key, encode_index(index))
        assert await store.load("id") is not None


async def test_a_snapshot_without_all_its_chunks_is_unreadable_never_absent(compacted_log, open_on, topic_of_id):
    log = compacted_log()
    async with open_on(log) as store:
        await store.save(of(1), "x" * 1300)
        log.topics[topic_of_id] = [record for record in log.topics[topic_of_id] if record.key[1] != ord("c")]
        with pytest.raises(SnapshotUnreadable, match="only 0 of its 3 parts"):
            await store.load("id")


async def test_it_looks_again_when_a_snapshot_is_deleted_while_it_is_read(compacted_log, open_on, topic_of_id):
    """Chunks that vanish between the look and the reading: the load gives what is there now."""
    log = compacted_log()
    async with open_on(log, keep=1) as store, open_on(log, keep=1) as other:
        await store.save(of(1), "x" * 1300)
        scan, left = log.scan, 1

        async def scan_and_replace(at, start, stop):
            nonlocal left
            found = await scan(at, start, stop)
            if left:
                left -= 1
                await other.save(of(2), "y" * 1300)
                log.compact(topic_of_id, tombstones=True)
            return found

        log.scan = scan_and_replace
        assert contents([await store.load("id")]) == {2: "y" * 1300}


def test_an_index_of_strange_bytes_is_none():
    assert decode_index("id", Record(5, b"x", b"y")) is None
