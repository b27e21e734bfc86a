"""Defects of the store on keys and values: other stores and processes, races, crashes, cancellation, resources."""

from contextlib import asynccontextmanager

import attrs
import cbor2
import trio

from kafka_persist.errors import StoreClosed, WriterFenced

from .base import Channel, ThirdPartyJournal, ThirdPartySnapshots
from .key_value_store import KeyValue, KeyValueStorage
from .registry import defect
from .turns import Turns

# --- two stores ---


@defect("two stores", "the floor of an id is remembered", "another_store_sees_writes_and_deletes", "expected")
class RemembersTheFloor(KeyValue):
    class Storage(KeyValueStorage):
        def __init__(self, path):
            super().__init__(path)
            self.floors = {}

        def delete(self, name, number):
            with self.locked(name):
                head = self.head(name)
                head.floor = max(head.floor, min(number, head.highest))
                self.put_head(head)  # the values stay until somebody makes room
                self.floors[name] = head.floor

        def floor(self, name):
            return self.floors.setdefault(name, super().floor(name))


@defect("two stores", "a delete is clamped to the number that this store knows", "a_delete_elsewhere_is_clamped_to_what_is_there",
        "expected")  # fmt: skip
class ClampsToKnown(KeyValue):
    class Storage(KeyValueStorage):
        def __init__(self, path):
            super().__init__(path)
            self.known = {}

        def highest(self, name):
            self.known[name] = super().highest(name)
            return self.known[name]

        def write(self, writes, bodies, stamp):
            results = super().write(writes, bodies, stamp)
            for write in writes:
                self.known.pop(write.persistence_id, None)
            return results

        def delete(self, name, number):
            super().delete(name, min(number, self.known.get(name, number)))


@defect(
    "two stores",
    "the newest snapshot is remembered",
    "another_process_sees_saves_and_deletes",
    "expected",
    kind="snapshots",
)
class RemembersTheNewest(KeyValue):
    class Storage(KeyValueStorage):
        def __init__(self, path):
            super().__init__(path)
            self.newest = {}

        def save(self, metadata, body):
            self.newest.pop(metadata.persistence_id, None)
            return super().save(metadata, body)

        def delete_snapshots(self, name, criteria):
            self.newest.pop(name, None)
            super().delete_snapshots(name, criteria)

        def load(self, name, criteria):
            known = self.newest.get(name)
            if known is not None and criteria.matches(known.metadata):
                return known
            found = super().load(name, criteria)
            if found is not None and criteria.max_sequence_nr > 2**62:
                self.newest[name] = found
            return found


# --- races ---


@defect("races", "who waits longest comes last", "calls_of_all_kinds_take_effect_in_order",
        "made at once")  # fmt: skip
class LastComesFirst(KeyValue):
    class Turns(Turns):
        def leave(self, ids, ticket):
            for name in ids:
                queue = self.queues[name]
                if queue[0] is ticket and len(queue) > 2:
                    queue.insert(1, queue.pop())
            super().leave(ids, ticket)


@defect("races", "who holds the id is looked up before the lock", "a_claim_in_another_store_decides_writes_that_are_under_way",
        "old writer|claim that gave|acknowledged")  # fmt: skip
class FencesEarly(KeyValue):
    class Storage(KeyValueStorage):
        def write(self, writes, bodies, stamp):
            early = {write.persistence_id: self.head(write.persistence_id).writer for write in writes}
            with self.locked(*early):
                known = {name: attrs.evolve(self.head(name), writer=writer) for name, writer in early.items()}
                return [self.store(*pair, stamp, known) for pair in zip(writes, bodies, strict=True)]


@defect(
    "races", "who is fenced is decided before what cannot be serialized", "refusals_have_an_order", "unserializable"
)
class FencesFirst(KeyValue):
    class Storage(KeyValueStorage):
        def store(self, write, body, stamp, heads):
            if self.head(write.persistence_id).writer != write.writer.hex:
                return WriterFenced("another writer holds the id")
            return super().store(write, body, stamp, heads)


# --- crashes ---


@defect(
    "crashes",
    "the highest number is stored before the events",
    "an_atomic_write_that_is_killed_is_whole_or_absent",
    "claim",
)
class HeadFirst(KeyValue):
    class Storage(KeyValueStorage):
        def put_batch(self, name, first, last, value):
            head = self.head(name)
            head.highest = last
            self.put_head(head)
            super().put_batch(name, first, last, value)


@defect("crashes", "deleted values are removed before the floor is stored", "a_delete_that_is_killed_is_whole_or_absent",
        "killed at key_value")  # fmt: skip
class RoomFirst(KeyValue):
    class Storage(KeyValueStorage):
        def delete(self, name, number):
            with self.locked(name):
                for _, last, key in self.batches(name):
                    if last <= number:
                        head = self.head(name)
                        self.put_head(head)
                        self.map.delete(self.folder(name), key)
            super().delete(name, number)


@defect("crashes", "a snapshot's body is stored after its key", "a_save_that_is_killed_is_whole_or_absent", "killed at|Unreadable",
        kind="snapshots")  # fmt: skip
class BodyLater(KeyValue):
    class Storage(KeyValueStorage):
        def put_snapshot(self, saved, body):
            super().put_snapshot(saved, b"\xff")
            super().put_snapshot(saved, body)


@defect("crashes", "a deleted snapshot is emptied before it is removed", "a_delete_that_is_killed_can_be_repeated", "killed at",
        kind="snapshots")  # fmt: skip
class EmptiesFirst(KeyValue):
    class Storage(KeyValueStorage):
        def delete_snapshots(self, name, criteria):
            with self.locked(name):
                for number, stamp, _ in self.matching(name, criteria):
                    key = f"s{number:020}"
                    self.map.put(self.folder(name), key, cbor2.dumps([stamp, b""]))
                    self.map.delete(self.folder(name), key)


# --- cancellation ---


@defect("cancellation", "who was cancelled while it waited stays in the queue", "a_cancelled_write_leaves_the_order_alone",
        "did not end")  # fmt: skip
class StaysInTheQueue(KeyValue):
    class Turns(Turns):
        def leave(self, ids, ticket):
            if ticket.called.is_set():
                super().leave(ids, ticket)


@defect("cancellation", "a cancelled page of a replay goes on in its thread", "no_thread_works_on_after_a_cancelled_call",
        "this still works")  # fmt: skip
class AbandonsPages(KeyValue):
    class Journal(ThirdPartyJournal):
        async def in_thread(self, call, *arguments):
            abandon = call == self.storage.page
            return await trio.to_thread.run_sync(
                call, *arguments, limiter=self.storage.limiter, abandon_on_cancel=abandon
            )


@defect("cancellation", "a cancelled save is undone by deleting what is at its number",
        "a_save_that_is_cancelled_is_whole_or_absent", "load gives", kind="snapshots")  # fmt: skip
class UndoesSaves(KeyValue):
    class Snapshots(ThirdPartySnapshots):
        async def save(self, metadata, snapshot):
            try:
                return await super().save(metadata, snapshot)
            except trio.Cancelled:
                for number in range(metadata.sequence_nr + 1):
                    self.storage.map.delete(self.storage.folder(metadata.persistence_id), f"s{number:020}")
                raise


@defect("cancellation", "a cancelled load goes on in its thread", "no_thread_works_on_after_a_cancelled_call", "this still works",
        kind="snapshots")  # fmt: skip
class AbandonsLoads(KeyValue):
    class Snapshots(ThirdPartySnapshots):
        async def in_thread(self, call, *arguments):
            abandon = call == self.storage.load
            return await trio.to_thread.run_sync(
                call, *arguments, limiter=self.storage.limiter, abandon_on_cancel=abandon
            )


# --- resources ---


@defect(
    "resources",
    "receive yields when it reads a page only",
    "every_receive_is_a_checkpoint",
    "without a checkpoint|gave #",
)
class YieldsPerPage(KeyValue):
    class Journal(ThirdPartyJournal):
        class Channel(Channel):
            async def receive(self):
                if self.page and self.left > 0 and not self.closed and not self.journal.closed:
                    return self.give()
                return await super().receive()


@defect("resources", "a replay whose store is closed ends", "closing_during_a_replay_is_an_error", "as if")
class EndsWhenClosed(KeyValue):
    class Journal(ThirdPartyJournal):
        class Channel(Channel):
            async def receive(self):
                try:
                    return await super().receive()
                except StoreClosed:
                    raise trio.EndOfChannel from None


@defect("resources", "twenty replays may be open, and writes wait for them", "a_hundred_open_replays_are_independent",
        "did not end")  # fmt: skip
class TwentyReplays(KeyValue):
    class Journal(ThirdPartyJournal):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.free = trio.Semaphore(20)

        def replay(self, *arguments, **named):
            return self._limited(super().replay(*arguments, **named))

        @asynccontextmanager
        async def _limited(self, inner):
            async with self.free, inner as channel:
                yield channel
