"""Defects of the store in append-only files: other stores and processes, races, crashes, cancellation, resources."""

import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import attrs
import cbor2
import trio

from kafka_persist.errors import StoreClosed

from .base import Channel, ThirdPartyJournal, ThirdPartySnapshots, check_order
from .file_store import FRAME, File, FileStorage, Log
from .registry import defect

KEPT = []

# --- two stores ---


@defect("two stores", "deletes of other processes are not read", "another_process_sees_writes_and_deletes", "expected")
class OwnDeletesOnly(File):
    class Storage(FileStorage):
        own = False

        def apply_delete(self, name, offset, length, floor):
            if self.own:
                super().apply_delete(name, offset, length, floor)

        def delete(self, name, number):
            self.own = True
            try:
                super().delete(name, number)
            finally:
                self.own = False


@defect("two stores", "a replay reads what this store has indexed", "another_store_sees_writes_and_deletes", "expected")
class ReplaysTheIndex(File):
    class Storage(FileStorage):
        def highest(self, name):
            with self.lock:
                return self.log(name).highest

        @contextmanager
        def locked(self):
            with super().locked():
                yield


@defect("two stores", "used numbers are looked up in the index of this store", "numbers_used_in_another_store_are_refused",
        "expected SequenceNrConflict")  # fmt: skip
class StaleInTheIndex(File):
    class Storage(FileStorage):
        def write(self, writes, bodies, stamp):
            known = {write.persistence_id: attrs.evolve(self.log(write.persistence_id)) for write in writes}
            with self.locked():
                check_order(writes, bodies, known.__getitem__)
                results = [self.decide(write, body) for write, body in zip(writes, bodies, strict=True)]
                self.append_writes(writes, bodies, results, stamp)
                return results


@defect("two stores", "a delete is clamped to what this process has read", "a_delete_in_another_process_is_clamped_to_what_is_there",
        "expected")  # fmt: skip
class ClampsToTheIndex(File):
    class Storage(FileStorage):
        def delete(self, name, number):
            super().delete(name, min(number, self.log(name).highest or number))


@defect("two stores", "an index that another process appended to is not read on",
        "independent_ids_of_two_processes_do_not_wait_for_each_other", "expected")  # fmt: skip
class ReadsOnceOnly(File):
    class Storage(FileStorage):
        def catch_up(self):
            size = os.fstat(self.file).st_size
            if self.end and not self.appending:
                self.unread = size - self.end
                return
            super().catch_up()

        appending = False

        def append(self, records):
            self.appending = True
            try:
                super().append(records)
            finally:
                self.appending = False


# --- races ---


@defect("races", "a delete is clamped when it is called, not when it has its turn", "a_delete_behind_queued_writes_takes_them",
        "expected")  # fmt: skip
class ClampsEarly(File):
    class Journal(ThirdPartyJournal):
        async def delete_to(self, persistence_id, to_sequence_nr):
            highest = self.storage.log(persistence_id).highest
            await super().delete_to(persistence_id, min(to_sequence_nr, highest))


@defect(
    "races", "a claim does not wait for the calls before it", "calls_of_all_kinds_take_effect_in_order", "made at once"
)
class ClaimsOvertake(File):
    class Journal(ThirdPartyJournal):
        async def claim(self, persistence_id, writer):
            return await self.run(self.storage.claim, persistence_id, writer)


@defect(
    "races",
    "used numbers are looked up before the turn",
    "a_number_written_twice_at_once_is_stored_once",
    "copy|Conflict",
)
class ChecksEarly(File):
    class Storage(FileStorage):
        def check_order(self, writes, bodies):
            pass

    class Journal(ThirdPartyJournal):
        async def write(self, writes):
            writes = tuple(writes)
            bodies = [self.prepare(write) for write in writes]
            check_order(writes, bodies, self.storage.log)
            return await super().write(writes)


@defect("races", "the lock of the file is one of threads, not of processes",
        "a_claim_in_another_process_decides_writes_that_are_under_way", "old writer|claim gave|acknowledged|expected")  # fmt: skip
class LocksThreadsOnly(File):
    class Storage(FileStorage):
        @contextmanager
        def locked(self):
            with self.lock:
                self.catch_up()
                yield

        def put(self, data):
            time.sleep(0.003)  # somebody else's turn of the processor
            super().put(data)


# --- crashes ---


@defect("crashes", "the events of an atomic write are appended one by one",
        "an_atomic_write_that_is_killed_is_whole_or_absent", "killed at file_")  # fmt: skip
class OneByOne(File):
    class Storage(FileStorage):
        def append_writes(self, writes, bodies, results, stamp):
            for write, body, result in zip(writes, bodies, results, strict=True):
                if result is None:
                    for number, each in enumerate(body, write.first_sequence_nr):
                        self.append([["write", write.persistence_id, write.writer.hex, stamp, number, [each]]])


@defect("crashes", "records wait in a buffer for the next read", "acknowledged_events_survive_a_kill", "expected")
class Buffers(File):
    class Storage(FileStorage):
        waiting = b""

        def put(self, data):
            if self.waiting or len(data) < 4_000:
                self.waiting += data
                self.pretend(data)
            else:
                super().put(data)

        def pretend(self, data):
            place = 0
            while place < len(data):
                length = FRAME.unpack(data[place : place + FRAME.size])[0]
                record = cbor2.loads(data[place + FRAME.size : place + FRAME.size + length])
                kind, name, *rest = record
                if kind == "claim":
                    self.apply_claim(name, 0, 0, *rest)
                place += FRAME.size + length

        def catch_up(self):
            pass

        def flush(self):
            data, self.waiting = self.waiting, b""
            FileStorage.put(self, data)
            FileStorage.catch_up(self)

        def write(self, writes, bodies, stamp):
            results = super().write(writes, bodies, stamp)
            for write, result in zip(writes, results, strict=True):
                if result is None:
                    self.logs.setdefault(write.persistence_id, Log()).highest = write.last_sequence_nr
            return results

        def page(self, *arguments):
            self.sync()
            return super().page(*arguments)

        def highest(self, name):
            self.sync()
            return super().highest(name)

        def sync(self):
            with self.locked():
                self.flush()

        def close(self):
            self.sync()
            super().close()


@defect("crashes", "the lock is a file that nobody removes for a dead process", "a_claim_that_is_killed_leaves_the_id_usable",
        "locked by another process|did not end")  # fmt: skip
class LockFile(File):
    class Storage(FileStorage):
        def __init__(self, path):
            super().__init__(path)
            self.path = path

        @contextmanager
        def locked(self):
            with super().locked():
                marker = f"{self.path}.lock"
                try:
                    os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    raise StoreClosed("the file is locked by another process") from None
                try:
                    yield
                finally:
                    Path(marker).unlink()


@defect("crashes", "a delete drops the newest snapshot and marks the rest when it is next opened",
        "acknowledged_saves_and_deletes_survive_a_kill", "expected", kind="snapshots")  # fmt: skip
class DropsLater(File):
    class Storage(FileStorage):
        dropped = None

        def delete_snapshots(self, name, criteria):
            with self.locked():
                self.dropped = [["drop", name, self.matching(name, criteria)]]
                for number in self.dropped[0][2]:
                    self.snapshots[name].pop(number)

        def close(self):
            if self.dropped:
                with self.locked():
                    self.append(self.dropped)
            super().close()


# --- cancellation ---


@defect("cancellation", "a checkpoint after the append raises Cancelled for what is stored",
        "a_write_that_raised_cancelled_is_absent_now_and_later", "raised Cancelled")  # fmt: skip
class CheckpointAfterwards(File):
    class Journal(ThirdPartyJournal):
        async def write(self, writes):
            results = await super().write(writes)
            await trio.lowlevel.checkpoint()
            return results


@defect("cancellation", "a write that was cancelled while it waited is stored with the next one",
        "a_cancelled_write_leaves_the_order_alone", "raised Cancelled")  # fmt: skip
class StoresTheCancelled(File):
    class Journal(ThirdPartyJournal):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.left = []

        async def write(self, writes):
            before, self.left = self.left, []
            for each in before:
                await super().write(each)
            try:
                return await super().write(writes)
            except trio.Cancelled:
                self.left.append(tuple(writes))
                raise

        async def highest_sequence_nr(self, persistence_id):
            if self.left:
                await self.write([])
            return await super().highest_sequence_nr(persistence_id)


@defect("cancellation", "a cancelled save is done again in the background", "a_cancelled_save_does_not_come_back_later",
        "expected", kind="snapshots")  # fmt: skip
class SavesLater(File):
    class Snapshots(ThirdPartySnapshots):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.left = []

        async def save(self, metadata, snapshot):
            try:
                saved = await super().save(metadata, snapshot)
            except trio.Cancelled:
                self.left.append((metadata, snapshot))
                raise
            left, self.left = self.left, []
            for each in left:
                await super().save(*each)
            return saved


# --- resources ---


@defect(
    "resources",
    "the event after a damaged one is given by the next receive",
    "nothing_is_delivered_after_an_error",
    r"got \[",
)
class SkipsDamage(File):
    class Journal(ThirdPartyJournal):
        class Channel(Channel):
            def give(self):
                number, row = self.page.popleft()
                self.low = number + 1
                self.left -= 1
                return self.journal.storage.decode_event(self.name, number, row)


@defect("resources", "each replay opens the file, and closes it at the end only", "replays_that_break_off_hold_nothing",
        "descriptor of")  # fmt: skip
class OpensPerReplay(File):
    class Journal(ThirdPartyJournal):
        class Channel(Channel):
            def __init__(self, journal, *window):
                super().__init__(journal, *window)
                self.file = os.dup(journal.storage.file)

            async def receive(self):
                try:
                    return await super().receive()
                except trio.EndOfChannel:
                    if self.file is not None:
                        os.close(self.file)
                    self.file = None
                    raise


@defect("resources", "a thread that writes statistics outlives the store", "leaving_the_block_ends_threads_and_descriptors",
        "thread statistics")  # fmt: skip
class LeavesAThread(File):
    stop = threading.Event()

    class Storage(FileStorage):
        def __init__(self, path):
            super().__init__(path)
            threading.Thread(target=LeavesAThread.stop.wait, args=(60,), name="statistics", daemon=True).start()


@defect(
    "resources",
    "each replay first verifies all events of the id, on the event loop",
    "large_writes_and_replays_leave_the_loop_free",
    "ms",
)
class BlocksTheLoop(File):
    class Journal(ThirdPartyJournal):
        async def in_thread(self, call, *arguments):
            await trio.lowlevel.checkpoint()
            return call(*arguments)

    class Storage(FileStorage):
        def highest(self, name):
            highest = super().highest(name)
            for place in self.log(name).places:
                first, rows = self.read(place)
                for number, row in enumerate(rows, first):
                    event = self.decode_event(name, number, row)
                    assert len(self.encode_event(event)) >= len(row[2])
            return highest


@defect("resources", "each snapshot that is loaded keeps its file open", "leaving_the_block_ends_threads_and_descriptors",
        "descriptor of", kind="snapshots")  # fmt: skip
class KeepsFilesOpen(File):
    class Storage(FileStorage):
        def load(self, name, criteria):
            KEPT.append(os.dup(self.file))
            return super().load(name, criteria)
