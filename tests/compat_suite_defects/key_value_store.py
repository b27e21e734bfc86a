"""A journal and a snapshot store on keys and values: each value is written and replaced whole, nothing else is atomic.

Each atomic write is one value; ids have locks.
"""

import fcntl
import hashlib
import os
import sqlite3
import threading
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from uuid import UUID

import attrs
import cbor2
import trio

from kafka_persist.errors import CorruptRecord, SnapshotUnreadable, StoreClosed, WriterFenced
from kafka_persist.model import PersistentRepr, Rejection, SelectedSnapshot, SnapshotMetadata

from .base import CAPABILITIES, ThirdPartyJournal, ThirdPartySnapshots, check_order, check_plain, now
from .turns import Turns


class Map:
    """Keys in folders; like `dbm.sqlite3` of newer Pythons, with locks."""

    def __init__(self, root):
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        self.turn = threading.Lock()
        self.closed = False
        self.data = sqlite3.connect(self.root / "map", timeout=20.0, isolation_level=None, check_same_thread=False)
        self.data.execute("PRAGMA journal_mode = WAL")
        self.data.execute("PRAGMA synchronous = OFF")  # the tests kill processes, not machines
        self.data.execute(
            "CREATE TABLE IF NOT EXISTS map (folder TEXT, key TEXT, value BLOB, PRIMARY KEY (folder, key)) WITHOUT ROWID"
        )

    def close(self):
        with self.turn:
            self.closed = True
            self.data.close()

    def execute(self, statement, *values):
        """Run one statement; it is a transaction of its own."""
        with self.turn:
            if self.closed:
                raise StoreClosed("this store is closed")
            return self.data.execute(statement, values).fetchall()

    def get(self, folder, key):
        rows = self.execute("SELECT value FROM map WHERE folder = ? AND key = ?", folder, key)
        return rows[0][0] if rows else None

    def put(self, folder, key, value):
        self.execute("REPLACE INTO map VALUES (?, ?, ?)", folder, key, value)

    def delete(self, folder, key):
        self.execute("DELETE FROM map WHERE folder = ? AND key = ?", folder, key)

    def keys(self, folder):
        return [row[0] for row in self.execute("SELECT key FROM map WHERE folder = ? ORDER BY key", folder)]

    def last(self, folder, prefix):
        """Return the last key with a prefix of one letter."""
        rows = self.execute(
            "SELECT max(key) FROM map WHERE folder = ? AND key BETWEEN ? AND ?", folder, prefix, prefix + "~"
        )
        return rows[0][0]

    def folders(self):
        return [row[0] for row in self.execute("SELECT DISTINCT folder FROM map")]

    @contextmanager
    def locked(self, folders):
        """Lock folders, always in the same order; a dead process lets go."""
        files = []
        try:
            for name in sorted({f"lock-{folder[:2]}" for folder in folders}):
                files.append(os.open(self.root / name, os.O_RDWR | os.O_CREAT, 0o600))
                fcntl.flock(files[-1], fcntl.LOCK_EX)
            yield
        finally:
            for file in files:
                os.close(file)


@attrs.define
class Head:
    name: str
    highest: int = 0
    floor: int = 0
    writer: str = ""
    stamp: int = 0


class KeyValueStorage:
    page_size = 300

    def __init__(self, path):
        self.limiter = trio.CapacityLimiter(4)
        self.map = Map(path)

    def close(self):
        self.map.close()

    def folder(self, name):
        return hashlib.sha256(name.encode()).hexdigest()[:40]

    # --- journal ---

    def batch_key(self, first, last):
        return f"b{first:020}-{last:020}"

    def batches(self, name):
        """Return first number, last number and key of each atomic write."""
        return [(int(key[1:21]), int(key[22:42]), key) for key in self.map.keys(self.folder(name)) if key[0] == "b"]

    def head(self, name):
        value = self.map.get(self.folder(name), "head")
        head = Head(name) if value is None else Head(*cbor2.loads(value))
        last = self.map.last(self.folder(name), "b")
        if last is not None:
            head.highest = max(head.highest, int(last[22:42]))
        return head

    def put_head(self, head):
        self.map.put(self.folder(head.name), "head", cbor2.dumps(list(attrs.astuple(head))))

    def locked(self, *names):
        return self.map.locked([self.folder(name) for name in names])

    def encode_event(self, event):
        check_plain(event.payload)
        check_plain(event.metadata)
        return [
            event.manifest,
            event.timestamp,
            sorted(event.tags),
            cbor2.dumps(event.metadata),
            cbor2.dumps(event.payload),
        ]

    def claim(self, name, writer):
        with self.locked(name):
            head = self.head(name)
            head.writer = writer.hex
            self.put_head(head)
            return head.highest

    def write(self, writes, bodies, stamp):
        with self.locked(*[write.persistence_id for write in writes]):
            self.check_order(writes, bodies)
            heads = {}
            results = [self.store(write, body, stamp, heads) for write, body in zip(writes, bodies, strict=True)]
            for head in heads.values():
                if any(result is None for result in results):
                    self.put_head(head)
            return results

    def check_order(self, writes, bodies):
        known = {write.persistence_id: self.head(write.persistence_id) for write in writes}
        check_order(writes, bodies, known.__getitem__)

    def store(self, write, body, stamp, heads):
        name = write.persistence_id
        head = heads.get(name) or self.head(name)
        if isinstance(body, Rejection):
            return body
        if head.writer != write.writer.hex:
            return WriterFenced(f"{name}: another writer holds the id")
        head.stamp = max(head.stamp, stamp)
        head.highest = write.last_sequence_nr
        heads[name] = head
        value = cbor2.dumps([write.writer.hex, head.stamp, body])
        self.put_batch(name, write.first_sequence_nr, write.last_sequence_nr, value)
        return None

    def put_batch(self, name, first, last, value):
        self.map.put(self.folder(name), self.batch_key(first, last), value)

    def highest(self, name):
        with self.locked(name):
            return self.head(name).highest

    def delete(self, name, number):
        with self.locked(name):
            head = self.head(name)
            floor = min(number, head.highest)
            if floor > head.floor:
                head.floor = floor
                self.put_head(head)  # from here on it is deleted; what follows only makes room
                for _, last, key in self.batches(name):
                    if last <= floor:
                        self.map.delete(self.folder(name), key)

    def page(self, name, low, high, left, place):
        """`place` is the list of atomic writes, made once."""
        low = max(low, self.floor(name) + 1)
        batches = self.batches(name) if place is None else place
        found = []
        while batches and len(found) < left:
            first, last, key = batches[0]
            if first > high:
                break
            value = self.map.get(self.folder(name), key) if last >= low else None
            if value is not None:
                rows = enumerate(self.rows(value), first)
                found += [(n, row) for n, row in rows if low <= n <= high]
            if len(found) > left:
                break  # this atomic write is read again for the rest of it
            batches = batches[1:]
        return found[:left], batches

    def floor(self, name):
        return self.head(name).floor

    def rows(self, value):
        writer, stamp, events = cbor2.loads(value)
        return [(writer, stamp, event) for event in events]

    def decode_event(self, name, number, row):
        writer, stamp, event = row
        try:
            manifest, timestamp, tags, metadata, payload = event
            return PersistentRepr(
                persistence_id=name, sequence_nr=number, payload=cbor2.loads(payload), manifest=manifest,
                timestamp=timestamp or stamp, writer=UUID(writer), tags=tags, metadata=cbor2.loads(metadata),
            )  # fmt: skip
        except (ValueError, TypeError, cbor2.CBORDecodeError) as error:
            raise CorruptRecord(f"{name} #{number} does not decode: {error}") from error

    def ids(self):
        found = []
        for folder in self.map.folders():
            value = self.map.get(folder, "head")
            if value is not None:
                name = cbor2.loads(value)[0]
                if self.head(name).highest:
                    found.append(name)
        return found

    # --- damage ---

    def corrupt_event(self, name, number):
        for first, last, key in self.batches(name):
            if first <= number <= last:
                writer, stamp, events = cbor2.loads(self.map.get(self.folder(name), key))
                events[number - first] = b"\xff"
                self.map.put(self.folder(name), key, cbor2.dumps([writer, stamp, events]))

    def corrupt_snapshot(self, name, number):
        stamp, _ = cbor2.loads(self.map.get(self.folder(name), f"s{number:020}"))
        self.map.put(self.folder(name), f"s{number:020}", cbor2.dumps([stamp, b"\xff"]))

    # --- snapshots ---

    def encode_snapshot(self, metadata, snapshot):
        check_plain(snapshot)
        check_plain(metadata.metadata)
        return cbor2.dumps([metadata.bookmark, metadata.metadata, snapshot])

    def save(self, metadata, body):
        with self.locked(metadata.persistence_id):
            saved = attrs.evolve(metadata, timestamp=now())
            self.put_snapshot(saved, body)
            return saved

    def put_snapshot(self, saved, body):
        key = f"s{saved.sequence_nr:020}"
        self.map.put(self.folder(saved.persistence_id), key, cbor2.dumps([saved.timestamp, body]))

    def matching(self, name, criteria):
        """Return number, timestamp and body of the matching snapshots, those with high numbers first."""
        found = []
        for key in reversed(self.map.keys(self.folder(name))):
            if key[0] == "s" and criteria.min_sequence_nr <= int(key[1:]) <= criteria.max_sequence_nr:
                value = self.map.get(self.folder(name), key)
                if value is not None:
                    stamp, body = cbor2.loads(value)
                    if self.in_time(criteria, stamp):
                        found.append((int(key[1:]), stamp, body))
        return found

    def in_time(self, criteria, stamp):
        return criteria.min_timestamp <= stamp <= criteria.max_timestamp

    def load(self, name, criteria):
        found = self.matching(name, criteria)
        return self.selected(name, *found[0]) if found else None

    def selected(self, name, number, stamp, body):
        try:
            bookmark, metadata, snapshot = cbor2.loads(body)
        except (ValueError, TypeError, cbor2.CBORDecodeError) as error:
            raise SnapshotUnreadable(f"{name}: snapshot {number}: {error}") from error
        found = SnapshotMetadata(
            persistence_id=name, sequence_nr=number, timestamp=stamp, bookmark=bookmark, metadata=metadata
        )
        return SelectedSnapshot(found, snapshot)

    def delete_snapshots(self, name, criteria):
        with self.locked(name):
            for number, _, _ in self.matching(name, criteria):
                self.map.delete(self.folder(name), f"s{number:020}")


class KeyValue:
    Storage = KeyValueStorage
    Journal = ThirdPartyJournal
    Snapshots = ThirdPartySnapshots
    Turns = Turns
    capabilities = CAPABILITIES

    @classmethod
    @asynccontextmanager
    async def open(cls, path, kind):
        storage = cls.Storage(f"{path}/{kind}")
        store = getattr(cls, kind.title())(storage, cls.Turns())
        try:
            await trio.lowlevel.checkpoint()
            yield store
        finally:
            await store.close()  # noqa: ASYNC102 - it shields itself
