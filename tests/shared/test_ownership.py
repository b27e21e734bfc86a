"""One process owns a log: several processes, restarts, and what the index knows after them."""

from __future__ import annotations

import logging
import os

import pytest
import trio

from kafka_persist import (
    ForeignEvent,
    IndexUnusable,
    JournalTruncated,
    StoreClosed,
    TopicSettingsRefused,
    WriterFenced,
)
from kafka_persist._shared.place import murmur2, partition_of
from kafka_persist._shared.writers import Writers

from .worlds import Writer, open_world, replayed


async def test_one_record_holds_the_waiting_writes_of_many_ids(autojump_clock):
    async with open_world() as world:
        journal = await world.journal()
        writers = [await Writer(journal, f"order-{number}").claim() for number in range(50)]
        before = world.log().end
        async with trio.open_nursery() as nursery:
            for writer in writers:
                nursery.start_soon(writer.write, "placed")
        assert world.log().end - before <= 3
        assert [await replayed(journal, writer.pid) for writer in writers] == [["placed"]] * 50


async def test_a_claim_takes_over_the_whole_log_and_the_error_names_who_did(autojump_clock):
    async with open_world() as world:
        first, second = await world.journal(), await world.journal()
        one, other = await Writer(first, "one").claim(), await Writer(first, "other").claim()
        await one.write("a")
        await other.write("b")
        heir = await Writer(second, "one").claim()
        assert heir.highest == 1
        await heir.write("c")
        with pytest.raises(WriterFenced, match=rf"taken over by this process {os.getpid()}"):
            await other.write("late")
        assert await replayed(second, "other") == ["b"]
        assert await replayed(first, "one") == ["a", "c"]


async def test_a_stale_owner_does_not_tell_old_news(autojump_clock):
    """It claims in memory only; but before it answers it looks whether somebody else has written."""
    async with open_world() as world:
        first, second = await world.journal(), await world.journal()
        await (await Writer(first, "one").claim()).write("a")
        await (await Writer(second, "two").claim()).write("b")
        heir = await Writer(second, "one").claim()
        await heir.write("c")
        assert await first.highest_sequence_nr("one") == 2
        again = await Writer(first, "one").claim()
        assert again.highest == 2
        await again.write("d")
        assert await replayed(second, "one") == ["a", "c", "d"]
        with pytest.raises(WriterFenced):
            await heir.write("late")


async def test_a_recovery_looks_once(autojump_clock):
    """The replay behind a claim gives what the claim has seen; the next one looks again, and so does one of another id."""
    async with open_world() as world:
        journal, other = await world.journal(), await world.journal()
        await (await Writer(journal, "one").claim()).write("a")
        looks = []
        scan = journal._driver.scan

        async def counted(*args):
            looks.append(args)
            return await scan(*args)

        journal._driver.scan = counted
        heir = await Writer(journal, "one").claim()
        assert len(looks) == 1
        assert await replayed(journal, "one") == ["a"]
        assert len(looks) == 1
        await (await Writer(other, "one").claim()).write("b")
        assert await replayed(journal, "one") == ["a", "b"]
        assert len(looks) > 1
        with pytest.raises(WriterFenced):
            await heir.write("late")


async def test_a_log_that_is_read_is_not_taken_over(autojump_clock):
    async with open_world() as world:
        owner, reader = await world.journal(), await world.journal()
        writer = await Writer(owner, "one").claim()
        await writer.write("a")
        assert await replayed(reader, "one") == ["a"]
        assert await reader.highest_sequence_nr("nobody") == 0
        await writer.write("b")
        assert await replayed(reader, "one") == ["a", "b"]


async def test_a_new_writer_of_an_id_replaces_the_one_before_in_the_same_process(autojump_clock):
    async with open_world() as world:
        journal = await world.journal()
        old, bystander = await Writer(journal, "one").claim(), await Writer(journal, "two").claim()
        await old.write("a")
        new = await Writer(journal, "one").claim()
        with pytest.raises(WriterFenced, match="this process has claimed it for another writer"):
            await old.write("late")
        await new.write("b")
        await bystander.write("c")
        assert await replayed(journal, "one") == ["a", "b"]


async def test_a_rejected_or_fenced_write_of_one_id_does_not_touch_the_others(autojump_clock):
    async with open_world() as world:
        journal = await world.journal()
        one, two, old = [await Writer(journal, pid).claim() for pid in ("one", "two", "three")]
        await Writer(journal, "three").claim()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.write, "a")
            nursery.start_soon(two.write, "b")
            with pytest.raises(WriterFenced):
                await old.write("late")
        assert (await two.write(object()))[0] is not None
        assert [await replayed(journal, pid) for pid in ("one", "two", "three")] == [["a"], ["b"], []]


async def test_a_replay_of_a_journal_that_was_closed_does_not_look_complete(autojump_clock):
    async with open_world() as world:
        journal = await world.journal()
        await (await Writer(journal, "one").claim()).write("a", "b")
        async with journal.replay("one") as events:
            assert (await events.receive()).payload == "a"
            await journal.close()
            with pytest.raises(StoreClosed):
                await events.receive()


async def test_deletions_hide_events_at_once_for_everybody(autojump_clock):
    async with open_world() as world:
        journal = await world.journal()
        writer = await Writer(journal, "one").claim()
        await writer.write("a", "b", "c")
        await journal.delete_to("one", 2)
        other = await world.journal()
        assert (await replayed(other, "one"), await replayed(journal, "one")) == (["c"], ["c"])
        await other.delete_to("one", 1 << 60)
        assert (await other.highest_sequence_nr("one"), other.deleted_to("one")) == (3, 3)
        heir = await Writer(journal, "one").claim()
        await heir.write("d")
        assert await replayed(await world.journal(), "one") == ["d"]


# --- the index on disk -----------------------------------------------------------------------------------------------


async def test_a_restart_reads_only_what_came_since(autojump_clock, tmp_path):
    async with open_world() as world:
        async with world.open(directory=str(tmp_path)) as journal:
            for number in range(20):
                await (await Writer(journal, f"id-{number}").claim()).write("a", "b")
            end = world.log().end
        reads = []
        async with world.open(directory=str(tmp_path)) as journal:
            scan = journal._driver.scan

            async def noted(log, start, stop):
                reads.append(start)
                return await scan(log, start, stop)

            journal._driver.scan = noted
            assert await replayed(journal, "id-7") == ["a", "b"]
            assert min(reads) >= end - 1
            assert (await Writer(journal, "id-3").claim()).highest == 2


async def test_an_index_that_was_left_behind_catches_up(autojump_clock, tmp_path):
    async with open_world() as world:
        async with world.open(directory=str(tmp_path)) as journal:
            await (await Writer(journal, "one").claim()).write("a")
        async with world.open() as journal:
            await (await Writer(journal, "one").claim()).write("b")
            await journal.delete_to("one", 1)
        async with world.open(directory=str(tmp_path)) as journal:
            assert await replayed(journal, "one") == ["b"]


async def test_the_index_of_another_history_is_built_anew(autojump_clock, tmp_path, caplog):
    async with open_world() as world:
        async with world.open(directory=str(tmp_path)) as journal:
            await (await Writer(journal, "one").claim()).write("a")
        world.broker.recreate_topic("journal")
        async with world.open() as journal:
            writer = await Writer(journal, "two").claim()
            for payload in "abc":
                await writer.write(payload)
        caplog.set_level(logging.WARNING, "kafka_persist.journal")
        async with world.open(directory=str(tmp_path)) as journal:
            assert (await replayed(journal, "one"), await replayed(journal, "two")) == ([], ["a", "b", "c"])
        assert "another history of this log, and is built anew" in caplog.text


async def test_two_journals_with_one_directory_are_refused(autojump_clock, tmp_path):
    async with open_world() as world:
        await world.journal(directory=str(tmp_path))
        with pytest.raises(IndexUnusable, match="in use by another journal"):
            await world.journal(directory=str(tmp_path))


class FullDisk:
    """A table whose disk is full from some moment on."""

    def __init__(self, table):
        self.table = table
        self.full = False

    def __getattr__(self, name):
        if self.full and name.startswith(("put", "save", "drop")):
            raise IndexUnusable("the index cannot be used: no space left on device")
        return getattr(self.table, name)


async def test_a_full_disk_stops_the_log_and_loses_nothing(autojump_clock, tmp_path):
    async with open_world() as world:
        journal = await world.journal(directory=str(tmp_path))
        writer = await Writer(journal, "one").claim()
        await writer.write("a")
        (shard,) = journal._shards
        disk = shard.log.index.table = FullDisk(shard.log.index.table)
        disk.full = True
        assert await writer.write("b") == [None], "it is stored, whatever the index says"
        with pytest.raises(WriterFenced):
            await writer.write("c")
        for call in (
            journal.claim("one", writer.uuid),
            journal.highest_sequence_nr("two"),
            journal.delete_to("one", 1),
        ):
            with pytest.raises(IndexUnusable, match="no space left"):
                await call
        assert await replayed(await world.journal(), "one") == ["a", "b"]


# --- what does not fit -----------------------------------------------------------------------------------------------


async def test_another_number_of_partitions_is_refused(autojump_clock):
    async with open_world() as world:
        await (await Writer(await world.journal(partitions=4), "one").claim()).write("a")
        journal = await world.journal(partitions=8)
        with pytest.raises(TopicSettingsRefused, match=r"has 4 partitions.*Set it to 4"):
            await journal.claim("one", Writer(journal, "one").uuid)
        reader = await world.journal(partitions=8)
        empty = next(
            name for name in map(str, range(1000)) if world.log(partition_of(name, 8)) and not _end(world, name, 8)
        )
        with pytest.raises(TopicSettingsRefused):  # the log is empty, but not the id's
            await reader.highest_sequence_nr(empty)
        with pytest.raises(ForeignEvent, match="log"):
            await reader.highest_sequence_nr(next(name for name in map(str, range(1000)) if _end(world, name, 8)))


def _end(world, name, partitions):
    log = world.log(partition_of(name, partitions))
    return 0 if log is None else log.end


async def test_a_recreated_topic_is_truncated_not_empty(autojump_clock):
    async with open_world() as world:
        journal = await world.journal()
        writer = await Writer(journal, "one").claim()
        await writer.write("a")
        world.broker.recreate_topic("journal")
        for call in (journal.highest_sequence_nr("one"), journal.claim("one", writer.uuid)):
            with pytest.raises(JournalTruncated):
                await call


@pytest.mark.parametrize(
    ("text", "hash_"),
    [("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536), ("abc", 479470107)],
)
def test_the_partition_is_the_one_that_javas_producer_chooses(text, hash_):
    """The vectors are those of Kafka's own test of ``Utils.murmur2``."""
    assert murmur2(text.encode()) == hash_ % (1 << 32)


async def test_all_ids_are_listed(autojump_clock):
    async with open_world() as world:
        journal = await world.journal(partitions=4)
        names = {f"id-{number}" for number in range(40)} | {"x" * 1000}
        for name in names:
            await (await Writer(journal, name).claim()).write("a")
        await journal.claim("only claimed", Writer(journal, "only claimed").uuid)
        reader = await world.journal(partitions=4)
        async with reader.persistence_ids() as ids:
            found = [name async for name in ids]
        assert (len(found), set(found)) == (len(names), names)


async def test_a_log_that_two_processes_take_from_each_other_is_told_of_but_not_all_the_time(autojump_clock, caplog):
    """Each hand-over is counted; a line comes every ten seconds at most, and none at a single one to another process."""
    caplog.set_level(logging.WARNING, "kafka_persist.journal")
    async with open_world() as world:
        journals = [await world.journal(), await world.journal()]
        for journal in journals:
            await Writer(journal, "one").claim()
        assert not caplog.records
        for _ in range(50):
            for journal in journals:
                await Writer(journal, "one").claim()
        assert len(caplog.records) == 2
        await trio.sleep(11)
        await Writer(journals[0], "one").claim()
    assert [record.event for record in caplog.records] == ["log.contested"] * 3
    assert "(times since the last such line: 50)" in caplog.records[-1].getMessage()


def test_ids_that_are_in_use_keep_their_writers():
    """Beyond the limit the one that has neither claimed nor written for longest loses its id; and is told why."""
    writers = Writers(2)
    writers.set("old", b"1" * 16)
    writers.set("idle", b"2" * 16)
    writers.has_begun("old")
    writers.set("new", b"3" * 16)
    assert [writers.get(name) for name in ("old", "idle", "new")] == [b"1" * 16, None, b"3" * 16]
    assert "more than 2 ids of the log" in writers.told("idle")
