"""Defects of the store in append-only files: numbers, ids, values, and values that change."""

import unicodedata
from urllib.parse import quote

import attrs

from kafka_persist.model import MAX_SEQUENCE_NR, Rejection

from .base import Channel, ThirdPartyJournal, check_order, now
from .file_store import File, FileStorage
from .registry import defect

# --- numbers ---


@defect("numbers", "used numbers are compared as floats", "large_used_numbers_are_refused", "SequenceNrConflict")
class FloatsAreStale(File):
    class Storage(FileStorage):
        def check_order(self, writes, bodies):
            def head_of(name):
                log = attrs.evolve(self.log(name))
                log.highest = int(float(log.highest)) if log.highest > 2**53 else log.highest
                return log

            check_order(writes, bodies, head_of)


@defect("numbers", "a negative maximum is none", "negative_limits_give_nothing", "expected nothing")
class NegativeIsUnlimited(File):
    class Journal(ThirdPartyJournal):
        def channel(self, name, low, high, left):
            return Channel(self, name, low, high, left if left >= 0 else MAX_SEQUENCE_NR)


@defect(
    "numbers", "a rejected write raises the highest number", "a_rejected_number_does_not_raise_the_highest", "highest"
)
class RejectedCounts(File):
    class Storage(FileStorage):
        def write(self, writes, bodies, stamp):
            results = super().write(writes, bodies, stamp)
            for write, result in zip(writes, results, strict=True):
                if isinstance(result, Rejection):
                    log = self.logs[write.persistence_id]
                    log.highest = max(log.highest, write.last_sequence_nr)
            return results


@defect("numbers", "the lower bound is looked up in an index of 32 bits", "large_bounds_are_exact", "expected")
class ThirtyTwoBits(File):
    class Storage(FileStorage):
        def page(self, name, low, high, left, place):
            found, place = super().page(name, low & ~0xFFFFFFFF if low > 2**32 else low, high, left, place)
            return [(number, row) for number, row in found if number & 0xFFFFFFFF >= low & 0xFFFFFFFF], place


# --- ids ---


@defect(
    "ids",
    "deletes are kept under the folded id",
    "ids_that_a_query_language_understands_reach_only_themselves",
    "beside",
)
class FoldedDeletes(File):
    class Storage(FileStorage):
        def apply_delete(self, name, offset, length, floor):
            for other in [each for each in self.logs if each.casefold() == name.casefold()]:
                super().apply_delete(other, offset, length, floor)


@defect("ids", "snapshots are kept under the quoted id with _ for %",
        "ids_that_a_query_language_understands_reach_only_themselves", "beside", kind="snapshots")  # fmt: skip
class QuotedNames(File):
    class Storage(FileStorage):
        def key(self, name):
            return quote(name, safe="").replace("%", "_")


# --- fidelity ---


@defect("fidelity", "tags are kept in one text, with commas", "tags_that_look_alike_come_back", "tags")
class TagsInOneText(File):
    class Storage(FileStorage):
        def encode_event(self, event):
            return super().encode_event(attrs.evolve(event, tags=frozenset(",".join(event.tags).split(",")) - {""}))


@defect("fidelity", "blanks at the end of a manifest are cut off", "texts_come_back_as_they_were", "manifest")
class StripsManifests(File):
    class Storage(FileStorage):
        def encode_event(self, event):
            return super().encode_event(attrs.evolve(event, manifest=event.manifest.rstrip(" ")))


@defect(
    "fidelity",
    "a false state is no snapshot",
    "states_that_look_like_nothing_are_states",
    "expected 1",
    kind="snapshots",
)
class FalseIsNone(File):
    class Storage(FileStorage):
        def load(self, name, criteria):
            found = super().load(name, criteria)
            return found if found is None or found.snapshot else None


@defect("fidelity", "the keys of maps in a state are made NFC", "nested_values_come_back", "key", kind="snapshots")
class NormalisesKeys(File):
    class Storage(FileStorage):
        def encode_snapshot(self, metadata, snapshot):
            return super().encode_snapshot(metadata, _normal(snapshot))


def _normal(value):
    if isinstance(value, dict):
        return {unicodedata.normalize("NFC", key) + ("" if key else " "): _normal(item) for key, item in value.items()}
    return [_normal(item) for item in value] if isinstance(value, list) else value


@defect(
    "fidelity", "a state that is a text is cut at a NUL", "texts_come_back_as_they_were", "expected", kind="snapshots"
)
class CutsStatesAtNul(File):
    class Storage(FileStorage):
        def encode_snapshot(self, metadata, snapshot):
            kept = snapshot.split("\0", maxsplit=1)[0] if isinstance(snapshot, str) else snapshot
            return super().encode_snapshot(metadata, kept)


# --- aliasing ---


@defect("aliasing", "the caller's list of writes is read again after the wait",
        "a_list_of_writes_changed_while_its_call_waits_counts_as_it_was", "numbers of results|the replay: expected|waited for others")  # fmt: skip
class ReadsTheListAgain(File):
    class Journal(ThirdPartyJournal):
        async def write(self, writes):
            stamp = now()
            bodies = [self.prepare(write) for write in writes]
            async with self.turns.of(*[write.persistence_id for write in writes]):
                bodies = bodies[: len(writes)]
                results = await self.run(self.storage.write, writes[: len(bodies)], bodies, stamp)
            return self.answer(results)


@defect("aliasing", "a state is copied one level deep, and encoded later",
        "a_state_changed_while_its_save_waits_is_stored_as_it_was", "later", kind="snapshots")  # fmt: skip
class ShallowStates(File):
    class Storage(FileStorage):
        def encode_snapshot(self, metadata, snapshot):
            super().encode_snapshot(metadata, snapshot)  # refuses what it cannot encode
            return metadata, list(snapshot) if isinstance(snapshot, list) else snapshot

        def append_save(self, saved, body):
            super().append_save(saved, super().encode_snapshot(*body))
