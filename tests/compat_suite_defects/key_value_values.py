"""Defects of the store on keys and values: numbers, ids, values, and values that change."""

import attrs
import cbor2

from .key_value_store import KeyValue, KeyValueStorage
from .registry import defect

# --- numbers ---


@defect(
    "numbers",
    "keys are made of doubles",
    "large_bounds_are_exact",
    "expected",
)
class DoubleKeys(KeyValue):
    class Storage(KeyValueStorage):
        def batch_key(self, first, last):
            return f"b{int(float(first)):020}-{int(float(last)):020}"


@defect("numbers", "a delete looks at 2,000 atomic writes at most", "deletes_larger_than_chunks_are_whole", "expected")
class DeletesTwoThousand(KeyValue):
    class Storage(KeyValueStorage):
        def floor(self, name):
            return 0

        def delete(self, name, number):
            with self.locked(name):
                head = self.head(name)
                head.floor = max(head.floor, min(number, head.highest))
                self.put_head(head)
                for _, last, key in self.batches(name)[:500]:
                    if last <= number:
                        self.map.delete(self.folder(name), key)


@defect("numbers", "timestamp bounds are compared in seconds", "timestamp_bounds_are_exact_at_every_size", "expected",
        kind="snapshots")  # fmt: skip
class StampsInSeconds(KeyValue):
    class Storage(KeyValueStorage):
        def in_time(self, criteria, stamp):
            return criteria.min_timestamp // 1_000 <= stamp // 1_000 <= criteria.max_timestamp // 1_000


@defect("numbers", "a delete of snapshots compares numbers as doubles", "large_numbers_are_deleted_exactly", "expected",
        kind="snapshots")  # fmt: skip
class DeletesByDoubles(KeyValue):
    class Storage(KeyValueStorage):
        def delete_snapshots(self, name, criteria):
            with self.locked(name):
                for key in self.map.keys(self.folder(name)):
                    if key[0] == "s":
                        value = self.map.get(self.folder(name), key)
                        number, stamp = float(int(key[1:])), cbor2.loads(value)[0]
                        low, high = float(criteria.min_sequence_nr), float(criteria.max_sequence_nr)
                        if low <= number <= high and self.in_time(criteria, stamp):
                            self.map.delete(self.folder(name), key)


@defect("numbers", "the timestamp that save gives is not the one that is stored", "a_timestamp_is_one_number_everywhere",
        "timestamp", kind="snapshots")  # fmt: skip
class TwoTimestamps(KeyValue):
    class Storage(KeyValueStorage):
        def put_snapshot(self, saved, body):
            super().put_snapshot(attrs.evolve(saved, timestamp=saved.timestamp // 10 * 10), body)


@defect(
    "numbers",
    "a claim gives the highest number through a double",
    "large_numbers_are_claimed_and_continued_exactly",
    "claim",
)
class ClaimsDoubles(KeyValue):
    class Storage(KeyValueStorage):
        def claim(self, name, writer):
            return int(float(super().claim(name, writer)))


# --- ids ---


@defect(
    "ids",
    "the folder of an id is its name up to a NUL",
    "ids_that_a_query_language_understands_reach_only_themselves",
    "beside",
)
class CutAtNul(KeyValue):
    class Storage(KeyValueStorage):
        def folder(self, name):
            return super().folder(name.split("\0", maxsplit=1)[0] or name)


@defect("ids", "plus signs and blanks in the ids of snapshots are one",
        "ids_that_a_query_language_understands_reach_only_themselves", r"\+", kind="snapshots")  # fmt: skip
class PlusIsBlank(KeyValue):
    class Storage(KeyValueStorage):
        def folder(self, name):
            return super().folder(name.replace("+", " "))


@defect("ids", "a line break at the end of an id is cut off", "ids_that_a_query_language_understands_reach_only_themselves",
        r"\\n")  # fmt: skip
class CutsLineBreaks(KeyValue):
    class Storage(KeyValueStorage):
        def folder(self, name):
            return super().folder(name.removesuffix("\n").removesuffix("\r"))


@defect("ids", "snapshots of an id are found under its name with x for _",
        "ids_that_look_alike_to_a_query_language_do_not_reach_it", "beside", kind="snapshots")  # fmt: skip
class UnderscoreIsAnything(KeyValue):
    class Storage(KeyValueStorage):
        def folder(self, name):
            return super().folder(name.replace("_", "x"))


# --- fidelity ---


@defect("fidelity", "given timestamps have 48 bits", "given_timestamps_are_left_alone", "timestamp")
class FortyEightBits(KeyValue):
    class Storage(KeyValueStorage):
        def encode_event(self, event):
            return super().encode_event(attrs.evolve(event, timestamp=event.timestamp & 0xFFFF_FFFF_FFFF))


@defect("fidelity", "an empty bookmark is none", "bookmarks_come_back", "bookmark", kind="snapshots")
class EmptyBookmark(KeyValue):
    class Storage(KeyValueStorage):
        def encode_snapshot(self, metadata, snapshot):
            return super().encode_snapshot(attrs.evolve(metadata, bookmark=metadata.bookmark or None), snapshot)


@defect("fidelity", "bytes inside lists of lists become text if they are text", "nested_values_come_back", "bytes")
class BytesAreText(KeyValue):
    class Storage(KeyValueStorage):
        def encode_event(self, event):
            return super().encode_event(attrs.evolve(event, payload=_as_text(event.payload, 0)))


def _as_text(value, depth):
    if isinstance(value, list):
        return [_as_text(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {key: _as_text(item, depth + 1) for key, item in value.items()}
    return value.decode() if isinstance(value, bytes) and depth > 1 and value.isascii() else value


@defect(
    "fidelity",
    "metadata of snapshots that are false are none",
    "nested_metadata_come_back",
    "metadata",
    kind="snapshots",
)
class FalseMetadata(KeyValue):
    class Storage(KeyValueStorage):
        def encode_snapshot(self, metadata, snapshot):
            return super().encode_snapshot(attrs.evolve(metadata, metadata=metadata.metadata or None), snapshot)


# --- aliasing ---


@defect("aliasing", "a payload is copied one level deep, and encoded later",
        "a_payload_changed_while_its_write_waits_is_stored_as_it_was", "later|-1")  # fmt: skip
class ShallowPayloads(KeyValue):
    class Storage(KeyValueStorage):
        def encode_event(self, event):
            super().encode_event(event)  # refuses what it cannot encode
            copied = event.payload[:] if isinstance(event.payload, list) else event.payload
            return attrs.evolve(event, payload=copied)

        def store(self, write, body, stamp, heads):
            if isinstance(body, list):
                body = [super(type(self), self).encode_event(event) for event in body]
            return super().store(write, body, stamp, heads)


@defect("aliasing", "a loaded snapshot's metadata are the cache's", "what_a_reader_changes_no_other_reader_sees", "by a reader",
        kind="snapshots")  # fmt: skip
class SharedMetadata(KeyValue):
    class Storage(KeyValueStorage):
        def __init__(self, path):
            super().__init__(path)
            self.cache = {}

        def selected(self, name, number, stamp, body):
            found = super().selected(name, number, stamp, body)
            return attrs.evolve(found, metadata=self.cache.setdefault((name, number, stamp), found.metadata))


@defect("aliasing", "metadata of a snapshot are encoded when it is saved, not when it is called",
        "metadata_changed_while_their_save_waits_are_stored_as_they_were", "clock", kind="snapshots")  # fmt: skip
class LateSnapshotMetadata(KeyValue):
    class Storage(KeyValueStorage):
        def encode_snapshot(self, metadata, snapshot):
            super().encode_snapshot(metadata, snapshot)
            return metadata, cbor2.dumps(snapshot)

        def put_snapshot(self, saved, body):
            metadata, snapshot = body
            super().put_snapshot(saved, super().encode_snapshot(metadata, cbor2.loads(snapshot)))
