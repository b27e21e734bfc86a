"""Defects that were thought of when all cases were there, without a look at them, over all three stores."""

import threading
import unicodedata

import attrs
import trio

from kafka_persist.errors import SequenceNrConflict, WriterFenced
from kafka_persist.model import MAX_SEQUENCE_NR, Rejection

from .base import Channel, ThirdPartyJournal, ThirdPartySnapshots
from .file_store import File, FileStorage
from .key_value_store import KeyValue
from .pool_store import Pool, PoolStorage
from .registry import defect


@defect("ids", "ids are cut after 200 bytes", "ids_of_every_length_are_whole", "the id")
class CutIds(Pool):
    class Storage(PoolStorage):
        def key(self, name):
            return super().key(name)[:200]


@defect("ids", "ids that Unicode holds for equal are one id", "lookalike_ids_are_different", "the id")
class NormalIds(Pool):
    class Storage(PoolStorage):
        def key(self, name):
            return unicodedata.normalize("NFC", super().key(name).decode()).encode()


@defect("ids", "blanks at the end of an id do not count", "lookalike_ids_are_different", "the id")
class PaddedIds(Pool):
    class Storage(PoolStorage):
        def key(self, name):
            return super().key(name).rstrip(b" ")


@defect("numbers", "a delete's number is kept in 32 bits", "large_deletes_are_exact", "expected")
class FloorOf32Bits(Pool):
    class Storage(PoolStorage):
        def delete(self, name, number):
            super().delete(name, number if number == MAX_SEQUENCE_NR else number & 0xFFFFFFFF)


@defect(
    "numbers",
    "the window's size is computed, and too large for the store when both ends are far apart",
    "large_numbers_are_exact",
    "expected",
)
class WindowOverflows(Pool):
    class Journal(ThirdPartyJournal):
        def channel(self, name, low, high, left):
            return super().channel(name, low, high, min(left, (high - low + 1) & 0x7FFFFFFF))


@defect("fidelity", "a manifest loses its blanks", "texts_come_back_as_they_were", "manifest")
class TrimsManifests(Pool):
    class Storage(PoolStorage):
        def encode_event(self, event):
            body = super().encode_event(event)
            body[0] = body[0].strip()
            return body


@defect("fidelity", "an empty tag is no tag", "tags_come_back", "tags")
class DropsEmptyTags(Pool):
    class Storage(PoolStorage):
        def encode_event(self, event):
            body = super().encode_event(event)
            body[2] = [tag for tag in body[2] if tag]
            return body


@defect("fidelity", "an empty bookmark is none", "bookmarks_come_back", "bookmark", kind="snapshots")
class EmptyBookmarks(Pool):
    class Storage(PoolStorage):
        def save(self, metadata, body):
            return super().save(attrs.evolve(metadata, bookmark=metadata.bookmark or None), body)


@defect("fidelity", "metadata that are empty are none", "metadata_comes_back", "metadata")
class EmptyMetadata(Pool):
    class Storage(PoolStorage):
        def encode_event(self, event):
            return super().encode_event(attrs.evolve(event, metadata=event.metadata or None))


@defect(
    "races",
    "the highest number is remembered before the call is known to be legal",
    "one_number_twice_in_one_call_is_refused",
    "the highest sequence number: expected 5, got 6",
)
class RemembersRefused(Pool):
    class Journal(ThirdPartyJournal):
        def __init__(self, *parts):
            super().__init__(*parts)
            self.known = {}

        async def write(self, writes):
            writes = tuple(writes)
            for write in writes:
                name = write.persistence_id
                self.known[name] = max(self.known.get(name, 0), write.last_sequence_nr)
            return await super().write(writes)

        async def highest_sequence_nr(self, persistence_id):
            found = await super().highest_sequence_nr(persistence_id)
            return max(found, self.known.get(persistence_id, 0)) if found else found


@defect(
    "crashes",
    "an id's head is stored after its events, in a transaction of its own",
    "an_atomic_write_that_is_killed_is_whole_or_absent",
    "killed at pool_",
)
class HeadAfterwards(Pool):
    class Storage(PoolStorage):
        def __init__(self, *place):
            super().__init__(*place)
            self.of_thread = threading.local()

        def write(self, writes, bodies, stamp):
            self.of_thread.heads = {}
            try:
                results = super().write(writes, bodies, stamp)
                heads = self.of_thread.heads
            finally:
                self.of_thread.heads = None
            with self.transaction() as connection:
                for name, head in heads.items():
                    self.store_head(connection, name, head)
            return results

        def store_head(self, connection, name, head):
            heads = getattr(self.of_thread, "heads", None)
            if heads is None:
                super().store_head(connection, name, head)
            else:
                heads[name] = attrs.evolve(head)

        def head(self, connection, name):
            heads = getattr(self.of_thread, "heads", None) or {}
            return attrs.evolve(heads[name]) if name in heads else super().head(connection, name)


@defect(
    "two stores",
    "results of a call of several ids are given id by id",
    "an_unserializable_event_alone_is_rejected",
    "results",
)
class ResultsById(Pool):
    class Journal(ThirdPartyJournal):
        def answer(self, results):
            return sorted(super().answer(results), key=lambda result: result is not None)


@defect(
    "races",
    "one fenced write keeps the others of its call from being stored",
    "a_fenced_write_does_not_stop_the_others_of_its_call",
    "expected 1, got nothing",
)
class FencedTogether(Pool):
    class Storage(PoolStorage):
        def write(self, writes, bodies, stamp):
            with self.transaction() as connection:
                self.check_order(connection, writes, bodies)
                fenced = [
                    not isinstance(body, Rejection)
                    and self.is_fenced(self.head(connection, write.persistence_id), write)
                    for write, body in zip(writes, bodies, strict=True)
                ]
                if any(fenced):
                    return [WriterFenced("fenced") if each else None for each in fenced]
                return [self.store(connection, *pair, stamp) for pair in zip(writes, bodies, strict=True)]


@defect(
    "races",
    "a conflict of one id is forgotten if another writer of the call is fenced",
    "refusals_have_an_order",
    "expected SequenceNrConflict",
)
class ConflictBehindFence(Pool):
    class Storage(PoolStorage):
        def check_order(self, connection, writes, bodies):
            try:
                super().check_order(connection, writes, bodies)
            except SequenceNrConflict:
                heads = [self.head(connection, write.persistence_id) for write in writes]
                if not any(self.is_fenced(*pair) for pair in zip(heads, writes, strict=True)):
                    raise

        def insert(self, connection, rows):
            connection.executemany("INSERT OR IGNORE INTO events VALUES (?, ?, ?)", rows)


@defect(
    "two stores",
    "a loaded snapshot is remembered until this store saves or deletes",
    "another_store_sees_saves_and_deletes",
    "expected",
    kind="snapshots",
)
class RemembersLoads(Pool):
    class Snapshots(ThirdPartySnapshots):
        def __init__(self, *parts):
            super().__init__(*parts)
            self.known = {}

        async def load(self, persistence_id, *criteria):
            key = (persistence_id, *criteria)
            if key not in self.known:
                self.known[key] = await super().load(persistence_id, *criteria)
            await trio.lowlevel.checkpoint()
            return self.known[key]

        async def save(self, metadata, snapshot):
            self.known.clear()
            return await super().save(metadata, snapshot)

        async def delete_matching(self, persistence_id, criteria):
            self.known.clear()
            await super().delete_matching(persistence_id, criteria)


@defect("resources", "closing closes nothing", "leaving_the_block_ends_threads_and_descriptors", "descriptor")
class ClosesNothing(File):
    class Storage(FileStorage):
        def close(self):
            pass


@defect(
    "cancellation",
    "a write cannot be cancelled, not even while it waits",
    "a_cancelled_scope_stops_every_call",
    "ran to its end in a cancelled scope",
)
class CannotBeCancelled(File):
    class Journal(ThirdPartyJournal):
        async def write(self, writes):
            with trio.CancelScope(shield=True):
                return await super().write(writes)


@defect(
    "cancellation",
    "a claim that raised Cancelled fences the old writer a moment later",
    "no_thread_works_on_after_a_cancelled_call",
    "the claim was cancelled",
)
class ClaimsLate(File):
    class Journal(ThirdPartyJournal):
        async def in_thread(self, call, *arguments):
            abandoned = call.__name__ == "claim"
            return await trio.to_thread.run_sync(
                call, *arguments, limiter=self.storage.limiter, abandon_on_cancel=abandoned
            )


@defect(
    "resources", "a replay reads the whole log at once when it is entered", "a_long_replay_needs_bounded_memory", "held"
)
class ReadsAtEntry(KeyValue):
    class Journal(ThirdPartyJournal):
        class Channel(Channel):
            async def fetch(self):
                self.journal.storage.page_size, kept = 1 << 40, self.journal.storage.page_size
                try:
                    await super().fetch()
                finally:
                    self.journal.storage.page_size = kept


@defect(
    "resources",
    "an event that does not decode ends a replay for those who ask again",
    "nothing_is_delivered_after_an_error",
    "ends as if nothing were wrong",
)
class EndsAfterDamage(KeyValue):
    class Journal(ThirdPartyJournal):
        class Channel(Channel):
            def give(self):
                try:
                    return super().give()
                except Exception:
                    self.page.clear()
                    self.left = 0
                    raise
