"""Defects of the store on SQLite with a pool of connections: numbers, ids, values, and values that change."""

from collections import OrderedDict

import attrs

from .base import Channel, ThirdPartyJournal
from .pool_store import TABLES, Head, Pool, PoolStorage
from .registry import defect

# --- numbers ---


@defect(
    "numbers", "a maximum above 1,000 counts anew for each page", "limits_larger_than_pages_are_exact", "expected 1…"
)
class LimitPerPage(Pool):
    class Journal(ThirdPartyJournal):
        class Channel(Channel):
            def give(self):
                left = self.left
                event = super().give()
                if left > 1_000:
                    self.left = left
                return event


@defect(
    "numbers",
    "a delete takes two chunks of 1,000 rows at most",
    "deletes_larger_than_chunks_are_whole",
    "got 2001…2600",
)
class TwoChunks(Pool):
    class Storage(PoolStorage):
        def delete_rows(self, connection, name, floor):
            for _ in range(2):
                connection.execute(
                    "DELETE FROM events WHERE (id, nr) IN (SELECT id, nr FROM events WHERE id = ? AND nr <= ? LIMIT 1000)",
                    (self.key(name), floor),
                )


@defect("numbers", "of one number twice in a call the second replaces the first", "one_number_twice_in_one_call_is_refused",
        "expected SequenceNrConflict")  # fmt: skip
class TwiceInOneCall(Pool):
    class Storage(PoolStorage):
        def check_order(self, connection, writes, bodies):
            for write, body in zip(writes, bodies, strict=True):
                super().check_order(connection, [write], [body])

        def insert(self, connection, rows):
            connection.executemany("REPLACE INTO events VALUES (?, ?, ?)", rows)


@defect(
    "numbers",
    "the floor is bound as REAL: beyond 2**53 a delete takes neighbours",
    "large_deletes_are_exact",
    "expected",
)
class FloorIsReal(Pool):
    class Storage(PoolStorage):
        def delete_rows(self, connection, name, floor):
            super().delete_rows(connection, name, float(floor))


@defect("numbers", "a lower bound of a snapshot's number is bound as text", "large_numbers_are_selected_exactly", "snapshot",
        kind="snapshots")  # fmt: skip
class BoundsByText(Pool):
    class Storage(PoolStorage):
        def where(self, name, criteria):
            _, (key, low, high, *stamps) = super().where(name, criteria)
            return (
                "id = ? AND CAST(nr AS REAL) BETWEEN ? AND ? AND stamp BETWEEN ? AND ?",
                (key, float(low), float(high), *stamps),
            )


@defect("numbers", "a snapshot's number goes through a double on its way back", "large_numbers_come_back", "sequence",
        kind="snapshots")  # fmt: skip
class NumbersThroughDoubles(Pool):
    class Storage(PoolStorage):
        def selected(self, name, number, *rest):
            return super().selected(name, min(int(float(number)), 2**63 - 1), *rest)


# --- ids ---


@defect("ids", "the delete escapes % and _ for LIKE, and not the escape character",
        "ids_that_a_query_language_understands_reach_only_themselves", "beside")  # fmt: skip
class DeletesLike(Pool):
    class Storage(PoolStorage):
        def delete_rows(self, connection, name, floor):
            pattern = name.replace("%", r"\%").replace("_", r"\_")
            connection.execute(
                r"DELETE FROM events WHERE CAST(id AS TEXT) LIKE ? ESCAPE '\' AND nr <= ?", (pattern, floor)
            )


@defect("ids", "snapshots are deleted by GLOB; [ is not escaped", "ids_that_a_query_language_understands_reach_only_themselves",
        r"\[", kind="snapshots")  # fmt: skip
class DeletesGlob(Pool):
    class Storage(PoolStorage):
        def delete_snapshots(self, name, criteria):
            _, bounds = self.where(name, criteria)
            pattern = name.replace("*", "[*]").replace("?", "[?]")
            with self.transaction() as connection:
                connection.execute(
                    "DELETE FROM snapshots WHERE CAST(id AS TEXT) GLOB ? AND nr BETWEEN ? AND ? AND stamp BETWEEN ? AND ?",
                    (pattern, *bounds[1:]),
                )


@defect("ids", "heads are kept without regard to case, events with it",
        "ids_that_a_query_language_understands_reach_only_themselves", "beside")  # fmt: skip
class HeadsWithoutCase(Pool):
    class Storage(PoolStorage):
        tables = TABLES.replace("id BLOB PRIMARY KEY, highest", "id TEXT PRIMARY KEY COLLATE NOCASE, highest")

        def head(self, connection, name):
            query = "SELECT highest, floor, writer, stamp FROM heads WHERE id = ?"
            row = connection.execute(query, (name,)).fetchone()
            return Head(*row) if row else Head()

        def store_head(self, connection, name, head):
            connection.execute("REPLACE INTO heads VALUES (?, ?, ?, ?, ?)", (name, *attrs.astuple(head)))

        def ids(self):
            with self.reading() as connection:
                return [row[0] for row in connection.execute("SELECT id FROM heads WHERE highest > 0")]


@defect("ids", "an id is deleted together with those that it matches as a pattern",
        "ids_that_look_alike_to_a_query_language_do_not_reach_it", "beside")  # fmt: skip
class DeletesMatching(Pool):
    class Storage(PoolStorage):
        def delete_rows(self, connection, name, floor):
            connection.execute(
                "DELETE FROM events WHERE replace(replace(CAST(id AS TEXT), '%', ''), '_', 'x') = ? AND nr <= ?",
                (name.replace("%", "").replace("_", "x"), floor),
            )


# --- fidelity ---


@defect("fidelity", "whole floats inside lists come back as integers", "nested_values_come_back", "float")
class WholeFloats(Pool):
    class Storage(PoolStorage):
        def dumps(self, value):
            return super().dumps(_whole(value, inside=False))


def _whole(value, *, inside):
    if isinstance(value, list):
        return [_whole(item, inside=True) for item in value]
    if isinstance(value, dict):
        return {key: _whole(item, inside=inside) for key, item in value.items()}
    return int(value) if inside and isinstance(value, float) and value.is_integer() else value


@defect("fidelity", "None inside maps of metadata is dropped", "nested_metadata_come_back", "expected a key")
class DropsNone(Pool):
    class Storage(PoolStorage):
        def encode_event(self, event):
            return super().encode_event(attrs.evolve(event, metadata=_without_none(event.metadata)))


def _without_none(value):
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


@defect("fidelity", "a second save without metadata or bookmark keeps the old ones", "a_second_save_replaces_everything",
        "bookmark", kind="snapshots")  # fmt: skip
class KeepsOldBookmark(Pool):
    class Storage(PoolStorage):
        def put_snapshot(self, connection, row):
            connection.execute(
                "INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id, nr) DO UPDATE SET stamp = excluded.stamp,"
                " bookmark = COALESCE(excluded.bookmark, bookmark), metadata = excluded.metadata, body = excluded.body",
                row,
            )


@defect("fidelity", "the metadata of a snapshot are kept for the last save only, in memory", "everything_survives_a_restart",
        "metadata", kind="snapshots")  # fmt: skip
class MetadataInMemory(Pool):
    class Storage(PoolStorage):
        def __init__(self, path):
            super().__init__(path)
            self.kept = {}

        def put_snapshot(self, connection, row):
            self.kept[row[:2]] = row[4]
            super().put_snapshot(connection, (*row[:4], "null", row[5]))

        def selected(self, name, number, stamp, bookmark, metadata, body):
            metadata = self.kept.get((self.key(name), number), metadata)
            return super().selected(name, number, stamp, bookmark, metadata, body)


@defect("fidelity", "tags and metadata are kept in memory for replays of this store", "everything_at_once_survives_a_restart",
        "tags|metadata")  # fmt: skip
class TagsInMemory(Pool):
    class Storage(PoolStorage):
        def __init__(self, path):
            super().__init__(path)
            self.kept = {}

        def row(self, body, writer, stamp):
            row = super().row(body, writer, stamp)
            self.kept[super().row([body[0], body[1], [], body[3], body[4]], writer, stamp)] = row
            return super().row([body[0], body[1], [], body[3], body[4]], writer, stamp)

        def decode_event(self, name, number, row):
            return super().decode_event(name, number, self.kept.get(row, row))


# --- aliasing ---


@defect("aliasing", "metadata are encoded when the write has its turn",
        "metadata_changed_while_their_write_waits_are_stored_as_they_were", "clock")  # fmt: skip
class LateMetadata(Pool):
    class Storage(PoolStorage):
        def encode_event(self, event):
            return [event.manifest, event.timestamp, sorted(event.tags), event, self.dumps(event.payload)]

        def row(self, body, writer, stamp):
            return super().row([*body[:3], self.dumps(body[3].metadata), body[4]], writer, stamp)


@defect("aliasing", "decoded events are cached and given to every reader", "what_a_reader_changes_no_other_reader_sees",
        "by a reader")  # fmt: skip
class SharedEvents(Pool):
    class Storage(PoolStorage):
        def __init__(self, path):
            super().__init__(path)
            self.cache = OrderedDict()

        def decode_event(self, name, number, row):
            key = name, number, row
            if key not in self.cache:
                self.cache[key] = super().decode_event(name, number, row)
                while len(self.cache) > 100:
                    self.cache.popitem(last=False)
            return self.cache[key]
