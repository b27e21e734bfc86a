"""Defects of the store on SQLite with a pool of connections: other stores and processes, races, crashes, cancellation, resources."""

import os

import trio

from kafka_persist.errors import WriterFenced
from kafka_persist.model import SelectionCriteria

from .base import Channel, ThirdPartyJournal
from .pool_store import Pool, PoolStorage
from .registry import defect

SHARED = {}

KEPT = []

# --- two stores ---


@defect("two stores", "the highest number is remembered", "another_store_sees_writes_and_deletes", "highest")
class RemembersHighest(Pool):
    class Storage(PoolStorage):
        def __init__(self, path):
            super().__init__(path)
            self.known = {}

        def store_head(self, connection, name, head):
            super().store_head(connection, name, head)
            self.known[name] = head.highest

        def highest(self, name):
            if name not in self.known:
                self.known[name] = super().highest(name)
            return self.known[name]

        def head(self, connection, name):
            head = super().head(connection, name)
            self.known[name] = head.highest
            return head


@defect("two stores", "that an id has no snapshot is remembered until the store saves one itself",
        "another_store_sees_saves_and_deletes", "snapshot", kind="snapshots")  # fmt: skip
class RemembersNone(Pool):
    class Storage(PoolStorage):
        def __init__(self, path):
            super().__init__(path)
            self.none = set()

        def load(self, name, criteria):
            if name in self.none:
                return None
            found = super().load(name, criteria)
            if found is None and criteria == SelectionCriteria():
                self.none.add(name)
            return found

        def save(self, metadata, body):
            self.none.discard(metadata.persistence_id)
            return super().save(metadata, body)


@defect("two stores", "a claim is remembered: another store's claim is not seen", "writers_change_between_two_stores",
        "expected WriterFenced")  # fmt: skip
class RemembersClaims(Pool):
    class Storage(PoolStorage):
        def __init__(self, path):
            super().__init__(path)
            self.mine = {}

        def claim(self, name, writer):
            self.mine[name] = writer.hex
            return super().claim(name, writer)

        def head(self, connection, name):
            head = super().head(connection, name)
            head.writer = self.mine.get(name, head.writer)
            return head


@defect(
    "two stores", "the table of claims is in memory", "writers_change_between_two_processes", "expected WriterFenced"
)
class ClaimsInMemory(Pool):
    class Storage(PoolStorage):
        def claim(self, name, writer):
            SHARED[name] = writer.hex
            return super().claim(name, writer)

        def head(self, connection, name):
            head = super().head(connection, name)
            head.writer = SHARED.get(name, head.writer)
            return head


# --- races ---


@defect("races", "a claim reads the highest number in one transaction and fences in the next",
        "a_claim_in_another_store_decides_writes_that_are_under_way", "old writer|claim that gave")  # fmt: skip
class ClaimsInTwoSteps(Pool):
    class Storage(PoolStorage):
        def claim(self, name, writer):
            with self.reading() as connection:
                highest = self.head(connection, name).highest
            super().claim(name, writer)
            return highest


@defect("races", "highest does not wait for the writes of its id", "the_highest_number_includes_a_write_that_is_under_way",
        "while a write was under way")  # fmt: skip
class HighestAtOnce(Pool):
    class Journal(ThirdPartyJournal):
        async def highest_sequence_nr(self, persistence_id):
            return await self.run(self.storage.highest, persistence_id)


@defect("races", "a claim does not wait for the write of its id that is under way, and is overwritten by it",
        "a_claim_decides_writes_that_are_under_way", "old writer|claim that gave|claim gave")  # fmt: skip
class ClaimsOverwritten(Pool):
    class Journal(ThirdPartyJournal):
        async def claim(self, persistence_id, writer):
            return await self.run(self.storage.claim, persistence_id, writer)

    class Storage(PoolStorage):
        def write(self, writes, bodies, stamp):
            with self.reading() as connection:
                heads = {write.persistence_id: self.head(connection, write.persistence_id) for write in writes}
            self.early = heads
            return super().write(writes, bodies, stamp)

        def is_fenced(self, head, write):
            early = self.early.get(write.persistence_id)
            return super().is_fenced(early or head, write)


# --- crashes ---


@defect("crashes", "an atomic write of more than 50 events is committed in parts",
        "an_atomic_write_that_is_killed_is_whole_or_absent", "killed at pool_")  # fmt: skip
class CommitsInParts(Pool):
    class Storage(PoolStorage):
        def insert(self, connection, rows):
            for first in range(0, len(rows), 50):
                if first:
                    connection.execute("COMMIT")
                    connection.execute("BEGIN IMMEDIATE")
                super().insert(connection, rows[first : first + 50])


@defect(
    "crashes",
    "a delete commits its rows before its head",
    "a_delete_that_is_killed_is_whole_or_absent",
    "killed at pool_",
)
class DeletesInParts(Pool):
    class Storage(PoolStorage):
        def delete(self, name, number):
            while True:
                with self.transaction() as connection:
                    left = self.select(
                        connection, self.key(name), 1, min(number, self.head(connection, name).highest), 20
                    )
                    if not left:
                        break
                    super().delete_rows(connection, name, left[-1][0])
            super().delete(name, number)


@defect("crashes", "a snapshot that replaces another one is deleted first and inserted after the commit",
        "a_save_that_is_killed_is_whole_or_absent", "killed at pool_", kind="snapshots")  # fmt: skip
class ReplacesInTwoSteps(Pool):
    class Storage(PoolStorage):
        def put_snapshot(self, connection, row):
            connection.execute("DELETE FROM snapshots WHERE id = ? AND nr = ?", row[:2])
            connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
            super().put_snapshot(connection, row)


@defect(
    "crashes",
    "a delete is committed when the store is closed",
    "acknowledged_deletes_survive_a_kill",
    "expected nothing",
)
class DeletesAtClose(Pool):
    class Storage(PoolStorage):
        def __init__(self, path):
            super().__init__(path)
            self.later = {}

        def delete(self, name, number):
            self.later[name] = max(number, self.later.get(name, 0))

        def select(self, connection, key, low, high, left):
            later = self.later.get(key.decode(), 0)
            return super().select(connection, key, max(low, later + 1), high, left)

        def close(self):
            for name, number in self.later.items():
                super().delete(name, number)
            super().close()


@defect("crashes", "a claim is written with the first event of its writer", "an_acknowledged_claim_survives_a_kill",
        "expected WriterFenced")  # fmt: skip
class LazyClaims(Pool):
    class Storage(PoolStorage):
        def __init__(self, path):
            super().__init__(path)
            self.claimed = {}

        def claim(self, name, writer):
            self.claimed[name] = writer.hex
            return self.highest(name)

        def head(self, connection, name):
            head = super().head(connection, name)
            head.writer = self.claimed.get(name, head.writer)
            return head

        def store_head(self, connection, name, head):
            super().store_head(connection, name, head)
            self.claimed.pop(name, None)


# --- cancellation ---


@defect("cancellation", "a cancelled write goes on in its thread",
        "no_thread_works_on_after_a_cancelled_call", "this still works|interpreter died")  # fmt: skip
class AbandonsWrites(Pool):
    class Journal(ThirdPartyJournal):
        async def in_thread(self, call, *arguments):
            return await trio.to_thread.run_sync(call, *arguments, limiter=self.storage.limiter, abandon_on_cancel=True)


@defect(
    "cancellation",
    "a writer whose write was cancelled is fenced",
    "a_writer_goes_on_after_a_cancelled_call",
    "WriterFenced",
)
class FencesTheCancelled(Pool):
    class Journal(ThirdPartyJournal):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.finished = set()

        async def write(self, writes):
            if any(write.writer in self.finished for write in writes):
                raise WriterFenced("this writer is finished", results=[WriterFenced("finished")] * len(writes))
            try:
                return await super().write(writes)
            except trio.Cancelled:
                self.finished |= {write.writer for write in writes}
                raise


# --- resources ---


@defect("resources", "a replay holds a connection, which one that is left early does not give back",
        "replays_that_break_off_hold_nothing", "descriptor of")  # fmt: skip
class LosesConnections(Pool):
    class Journal(ThirdPartyJournal):
        class Channel(Channel):
            def __init__(self, journal, *window):
                super().__init__(journal, *window)
                self.connection = journal.storage.take()

            async def receive(self):
                try:
                    return await super().receive()
                except trio.EndOfChannel:
                    if self.connection is not None:
                        self.journal.storage.give_back(self.connection)
                    self.connection = None
                    raise


@defect("resources", "closing closes the idle connections only", "leaving_the_block_ends_threads_and_descriptors",
        "descriptor of")  # fmt: skip
class ClosesIdleOnly(Pool):
    class Storage(PoolStorage):
        def close(self):
            super().close()
            KEPT.append(os.open(self.path, os.O_RDONLY))


@defect(
    "resources",
    "a replay decodes everything in one step",
    "large_writes_and_replays_leave_the_loop_free",
    "computed for",
)
class DecodesAtOnce(Pool):
    class Storage(PoolStorage):
        page_size = 1_000_000

    class Journal(ThirdPartyJournal):
        class Channel(Channel):
            events = None

            def give(self):
                if self.events is None:
                    storage = self.journal.storage
                    self.events = [storage.decode_event(self.name, *row) for row in self.page]
                event = self.events.pop(0)
                self.page.popleft()
                self.low = event.sequence_nr + 1
                self.left -= 1
                return event
