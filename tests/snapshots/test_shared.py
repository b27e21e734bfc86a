"""The shared snapshot topic on a simulated broker: many ids, several processes, an index that is old, lost or of something else."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from kafka_persist._core import snapshot_format as form
from kafka_persist._core.snapshot_format import Commit, Kind, SaveKey
from kafka_persist._index.lmdb_table import open_table
from kafka_persist._shared.place import partition_of
from kafka_persist.config import Config, JournalConfig, SharedConfig, SharedSnapshotsConfig, SnapshotStoreConfig
from kafka_persist.driver import Log
from kafka_persist.errors import IndexUnusable, SnapshotUnreadable, TopicSettingsRefused
from kafka_persist.model import SelectionCriteria, SnapshotMetadata
from kafka_persist.snapshots import open_snapshot_store_on
from kafka_persist_testkit.sim import SimBroker, open_sim_broker, open_sim_kafka

TOPIC = "snapshot-shared"


@attrs.define(eq=False)
class World:
    """One broker; `open` opens one more process's store."""

    broker: SimBroker
    scans: list = attrs.field(factory=list)

    @asynccontextmanager
    async def open(self, directory="", partitions=1, **changes):
        shared = SharedSnapshotsConfig(partitions=partitions, directory=str(directory))
        config = SnapshotStoreConfig(
            layout="shared", shared=shared, chunk_bytes=512, recovery_stall_timeout=1.0, **changes
        )
        async with open_sim_kafka(self.broker, config) as driver:
            scan = driver.scan

            async def noted(log, start, stop):
                self.scans.append((log.partition, start, stop))
                return await scan(log, start, stop)

            driver.scan = noted
            async with open_snapshot_store_on(driver, config) as store:
                yield store

    def log(self, partition=0):
        return self.broker.find(Log(TOPIC, partition))


@asynccontextmanager
async def open_world():
    async with open_sim_broker() as broker:
        yield World(broker)


async def save(store, name, number, value=None):
    return await store.save(
        SnapshotMetadata(persistence_id=name, sequence_nr=number), f"{name}-{number}" if value is None else value
    )


async def loaded(store, name, **bounds):
    found = await store.load(name, SelectionCriteria(**bounds))
    return None if found is None else (found.metadata.sequence_nr, found.snapshot)


async def everybody(store, names, wanted):
    """Load many at once; all must be as wanted."""

    async def check(name):
        assert await loaded(store, name) == wanted(name)

    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(check, name)


@pytest.mark.parametrize("on_disk", [True, False], ids=["with a directory", "without"])
async def test_a_thousand_ids_are_saved_and_a_fresh_process_has_them(autojump_clock, tmp_path, on_disk):
    """One topic, whatever the number of ids."""
    directory = tmp_path if on_disk else ""
    names = [f"order-{number}" for number in range(1000)]
    async with open_world() as world:
        async with world.open(directory, partitions=16) as store, trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(save, store, name, 7)
        assert list(world.broker.topics) == [TOPIC]
        world.scans.clear()
        async with world.open(directory, partitions=16) as store:
            await everybody(store, [*names, "nobody"], lambda name: None if name == "nobody" else (7, f"{name}-7"))
        whole = [scan for scan in world.scans if scan[1] is None]
        assert len({scan[0] for scan in whole}) == (0 if on_disk else 16), "an index on disk spares reading everything"


async def test_calls_at_the_same_time_share_a_look(autojump_clock):
    async with open_world() as world, world.open() as store:
        for number in range(50):
            await save(store, f"id-{number}", 1)
        world.scans.clear()
        await everybody(store, [f"id-{number}" for number in range(50)], lambda name: (1, f"{name}-1"))
        looks = [scan for scan in world.scans if scan[2] is None]
        assert len(looks) <= 3


async def test_what_this_process_saves_is_not_read_again(autojump_clock):
    async with open_world() as world, world.open() as store:
        await save(store, "id", 1)
        world.scans.clear()
        for number in range(2, 10):
            await save(store, "id", number, "x" * 3000)
        assert all(stop is None and start >= world.log().end - 12 * 9 for _, start, stop in world.scans)
        assert sum(1 for _ in world.scans) <= 9, "one look for each save"


async def test_ids_of_one_partition_do_not_disturb_each_other(autojump_clock):
    """Large ones between small ones, replaced and deleted: each id has its own."""
    async with open_world() as world, world.open(keep=2) as store:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(save, store, f"id-{number}", 1, str(number) * 2000)
        for number in range(20):
            await save(store, f"id-{number}", 2)
        for number in range(0, 20, 2):
            await store.delete_matching(f"id-{number}", SelectionCriteria())
        assert await loaded(store, "id-3", max_sequence_nr=1) == (1, "3" * 2000)
        async with world.open() as other:
            for number in range(20):
                assert await loaded(other, f"id-{number}") == (None if number % 2 == 0 else (2, f"id-{number}-2"))


async def test_several_processes_see_each_others_snapshots_at_once(autojump_clock, tmp_path):
    async with open_world() as world, world.open(tmp_path / "1") as one, world.open(tmp_path / "2") as other:
        for number in range(1, 10):
            await save((one, other)[number % 2], "id", number)
            assert await loaded((other, one)[number % 2], "id") == (number, f"id-{number}")
        await one.delete_matching("id", SelectionCriteria())
        assert await loaded(other, "id") is None


# --- the index -------------------------------------------------------------------------------------------------------


async def test_two_processes_with_one_directory_are_refused(autojump_clock, tmp_path):
    async with open_world() as world, world.open(tmp_path):
        with pytest.raises(IndexUnusable, match=r"another snapshot store.*kafka-snapshot-store.shared.directory"):
            async with world.open(tmp_path):
                pass
        async with world.open(tmp_path / "another"):
            pass


async def test_a_journal_and_a_snapshot_store_may_have_the_same_directory(tmp_path):
    async with open_world() as world, world.open(tmp_path):
        open_table(str(tmp_path), 0, "journal").close(keep=True)


@pytest.mark.parametrize("compacted", ["nothing", "everything but tombstones", "everything"])
async def test_an_index_that_was_left_behind_is_not_believed_in_what_changed(autojump_clock, tmp_path, compacted):
    """Saved, replaced and deleted by others, and their tombstones gone: a deletion is seen however old the index is."""
    async with open_world() as world:
        async with world.open(tmp_path) as store:
            for name in ("kept", "replaced", "deleted"):
                await save(store, name, 5)
        async with world.open(keep=1) as store:
            await save(store, "replaced", 6)
            await store.delete_matching("deleted", SelectionCriteria())
            await save(store, "new", 1, "x" * 3000)
        if compacted != "nothing":
            world.log().compact(tombstones=compacted == "everything")
        async with world.open(tmp_path, keep=1) as store:
            assert await loaded(store, "kept") == (5, "kept-5")
            assert await loaded(store, "replaced") == (6, "replaced-6")
            assert await loaded(store, "deleted") is None
            assert await loaded(store, "new") == (1, "x" * 3000)
            # With what it thinks there is, retention would keep a deleted snapshot in place of this one.
            await save(store, "deleted", 1)
            assert await loaded(store, "deleted") == (1, "deleted-1")


async def test_an_idle_process_misses_no_deletion_that_was_compacted_away(autojump_clock):
    async with open_world() as world, world.open() as idle, world.open() as other:
        await save(other, "id", 9)
        assert await loaded(idle, "id") == (9, "id-9")
        await other.delete_matching("id", SelectionCriteria())
        await save(other, "another", 1)
        world.log().compact(tombstones=True)
        assert await loaded(idle, "id") is None
        await save(idle, "id", 1)
        assert await loaded(other, "id") == (1, "id-1")


@pytest.mark.parametrize("harm", ["deleted", "torn", "half", "of another topic", "foreign"])
async def test_an_index_that_is_lost_or_damaged_is_built_anew(autojump_clock, tmp_path, harm):
    async with open_world() as world:
        async with world.open(tmp_path) as store:
            for number in range(30):
                await save(store, f"id-{number}", 1)
        data = tmp_path / "snapshots-0" / "lmdb" / "data.mdb"
        if harm == "deleted":
            shutil.rmtree(tmp_path / "snapshots-0")
        elif harm == "torn":
            data.write_bytes(data.read_bytes()[:8192])
        elif harm == "half":
            data.write_bytes(b"\xff" * len(data.read_bytes()))
        elif harm == "foreign":
            (tmp_path / "snapshots-0" / "state").write_text("kafka-persist index 1\nanother topic\nclosed\n")
        else:
            world.broker.recreate_topic(TOPIC)
            async with world.open() as store:
                for number in range(60):
                    await save(store, f"other-{number}", 2)
        old, new = ("other", 2) if harm == "of another topic" else ("id", 1)
        async with world.open(tmp_path) as store:
            assert await loaded(store, f"{old}-29") == (new, f"{old}-29-{new}")
            assert await loaded(store, "id-3") == (None if harm == "of another topic" else (1, "id-3-1"))


async def test_an_index_that_is_deleted_while_in_use_harms_nobody(autojump_clock, tmp_path):
    async with open_world() as world:
        async with world.open(tmp_path) as store:
            await save(store, "id", 1)
            shutil.rmtree(tmp_path / "snapshots-0")
            await save(store, "id", 2)
            assert await loaded(store, "id") == (2, "id-2")
        async with world.open(tmp_path) as store:
            assert await loaded(store, "id") == (2, "id-2")


@pytest.mark.parametrize("longer", [0, 10])
async def test_a_log_that_lost_its_end_is_read_anew(autojump_clock, longer):
    """After an unclean election: what is gone is gone, and what came in its place is seen."""
    async with open_world() as world, world.open() as store:
        await save(store, "kept", 1)
        end = world.log().end
        await save(store, "lost", 1)
        assert await loaded(store, "lost") == (1, "lost-1")
        world.log().lose_tail(end)
        async with world.open() as other:
            for number in range(longer):
                await save(other, f"later-{number}", 1)
        assert await loaded(store, "lost") is None
        assert await loaded(store, "kept") == (1, "kept-1")
        assert not longer or await loaded(store, "later-9") == (1, "later-9-1")


async def test_a_topic_that_was_deleted_has_certainly_no_snapshots(autojump_clock):
    async with open_world() as world, world.open(partitions=4) as store:
        await save(store, "id", 1)
        world.broker.delete_topic(TOPIC)
        assert await loaded(store, "id") is None
        world.broker.create_topic(TOPIC, 4, {"cleanup.policy": "compact"})
        assert await loaded(store, "id") is None
        await save(store, "id", 2)
        assert await loaded(store, "id") == (2, "id-2")


async def test_a_full_disk_does_not_turn_a_stored_snapshot_into_a_failure(autojump_clock, tmp_path):
    async with open_world() as world:
        async with world.open(tmp_path) as store:
            await save(store, "id", 1)
            [partition] = store._layout._partitions

            def full(*_args):
                raise IndexUnusable("the index cannot be used: no space left on device")

            look = partition._looks._async_fn

            async def look_and_fill():
                await look()
                partition.index.table.put_row = full

            partition._looks._async_fn = look_and_fill
            assert (await save(store, "id", 2)).sequence_nr == 2
            with pytest.raises(IndexUnusable, match="no space left"):
                await loaded(store, "id")
        async with world.open(tmp_path) as store:
            assert await loaded(store, "id") == (2, "id-2")


def test_the_index_is_in_the_journals_directory_unless_it_has_one_of_its_own():
    """One line chooses the layout; where indexes are has been said for the journal."""
    journal = JournalConfig(layout="shared", shared=SharedConfig(directory="/indexes"))
    store = SnapshotStoreConfig(layout="shared")
    assert Config(journal=journal, snapshot_store=store).snapshot_store.shared.directory == "/indexes"
    own = attrs.evolve(store, shared=SharedSnapshotsConfig(directory="/own"))
    assert Config(journal=journal, snapshot_store=own).snapshot_store.shared.directory == "/own"
    assert Config(snapshot_store=store).snapshot_store.shared.directory == ""


# --- what does not fit -----------------------------------------------------------------------------------------------


def name_in(partition, partitions):
    return next(name for name in map(str, range(1000)) if partition_of(name, partitions) == partition)


async def test_another_number_of_partitions_is_refused_by_every_call(autojump_clock):
    """None would be wrong: the snapshot is there, in another partition."""
    async with open_world() as world:
        async with world.open(partitions=4) as store:
            await save(store, "id", 1)
        for partitions in (2, 8):
            async with world.open(partitions=partitions) as store:
                for partition in range(partitions):
                    name = name_in(partition, partitions)
                    for call in (
                        store.load(name),
                        save(store, name, 1),
                        store.delete_matching(name, SelectionCriteria()),
                    ):
                        with pytest.raises(TopicSettingsRefused, match=r"4 partitions.*shared.partitions is"):
                            await call


async def test_a_topic_that_was_given_more_partitions_is_refused_with_the_new_number(autojump_clock):
    """All that is in it was placed by the old number; so the topic is asked what it was first used with."""
    async with open_world() as world:
        async with world.open(partitions=2) as store:
            await save(store, "id", 1)
        topic = world.broker.topics[TOPIC]
        topic.partitions += [type(topic.partitions[0])() for _ in range(2)]
        async with world.open(partitions=4) as store:
            for partition in range(4):
                name = name_in(partition, 4)
                for call in (store.load(name), save(store, name, 1)):
                    with pytest.raises(TopicSettingsRefused, match="was first used with 2 partitions"):
                        await call


async def test_a_strange_record_concerns_the_id_in_its_key_alone(autojump_clock):
    """What nobody can tell makes None uncertain for that id; deleting everything of it makes it certain again."""
    async with open_world() as world, world.open() as store:
        await save(store, "id", 1)
        await save(store, "other", 1)
        world.log().append(b"\x02s" + form.digest_of("id") + b"later", b"what is this")
        world.log().append(b"short", b"nobody's")
        with pytest.raises(SnapshotUnreadable, match="record format 2"):
            await store.load("id")
        assert await loaded(store, "other") == (1, "other-1")
        assert await loaded(store, "nobody") is None
        await store.delete_matching("id", SelectionCriteria())
        assert await loaded(store, "id") is None


async def test_a_damaged_commit_record_is_unreadable_for_its_id_until_it_is_replaced(autojump_clock):
    async with open_world() as world, world.open() as store:
        await save(store, "id", 1)
        await save(store, "other", 1)
        commits = [record for record in world.log().records(0, 99) if form.parse_key(record.key).kind is Kind.COMMIT]
        world.log().append(commits[0].key, b"\x00" + commits[0].value)
        with pytest.raises(SnapshotUnreadable):
            await store.load("id")
        assert await loaded(store, "other") == (1, "other-1")
        await save(store, "id", 1, "again")
        assert await loaded(store, "id") == (1, "again")


async def test_the_highest_generation_there_can_be_does_not_spoil_later_saves(autojump_clock):
    async with open_world() as world, world.open() as store:
        await save(store, "id", 1)
        key = SaveKey(form.digest_of("id"), 7, 1, b"f" * 16).commit()
        world.log().append(key, form.encode_commit(key, "id", Commit(form.MAX_GENERATION, 1, 0, 0, b"x")))
        for value in ("first", "second"):
            await save(store, "id", 7, value)
            assert await loaded(store, "id") == (7, value)


async def test_a_save_that_looked_earlier_and_lands_late_does_not_replace_a_newer_one(autojump_clock):
    """Generations are places in the log, so this holds also where everything between the two was compacted away."""
    async with open_world() as world, world.open() as slow, world.open() as fast:
        await save(fast, "id", 5)
        late = SaveKey(form.digest_of("id"), 7, 1, b"f" * 16).commit()
        value = form.encode_commit(late, "id", Commit(world.log().end + 1, 1, 0, 0, b"x"))
        await save(fast, "other", 1)
        await fast.delete_matching("id", SelectionCriteria())
        world.log().compact(tombstones=True)
        await save(slow, "id", 7, "newer")
        world.log().append(late, value)
        assert await loaded(slow, "id") == await loaded(fast, "id") == (7, "newer")


# --- what came last --------------------------------------------------------------------------------------------------


async def test_a_small_snapshot_that_was_just_read_or_saved_costs_a_load_no_second_reading(autojump_clock):
    async with open_world() as world, world.open() as store, world.open() as other:
        await save(store, "id", 1)
        for each in (store, other):
            world.scans.clear()
            assert await loaded(each, "id") == (1, "id-1")
            assert all(stop is None for _, _, stop in world.scans), "looks only"
