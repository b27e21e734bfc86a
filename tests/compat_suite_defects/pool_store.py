"""A journal and a snapshot store on SQLite, with a pool of connections."""

import base64
import json
import queue
import sqlite3
import threading
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

import attrs
import trio

from kafka_persist.errors import (
    BrokerError,
    CorruptRecord,
    SerializationError,
    SnapshotUnreadable,
    StoreClosed,
    WriteOutcomeUnknown,
    WriterFenced,
)
from kafka_persist.model import PersistentRepr, Rejection, SelectedSnapshot, SnapshotMetadata, check_persistence_id

from .base import CAPABILITIES, ThirdPartyJournal, ThirdPartySnapshots, check_order, check_plain, now
from .turns import Turns

TABLES = """
CREATE TABLE IF NOT EXISTS heads (
    id BLOB PRIMARY KEY, highest INTEGER NOT NULL, floor INTEGER NOT NULL, writer TEXT NOT NULL, stamp INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (id BLOB, nr INTEGER, body TEXT NOT NULL, PRIMARY KEY (id, nr)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS snapshots (
    id BLOB, nr INTEGER, stamp INTEGER NOT NULL, bookmark BLOB, metadata TEXT, body TEXT NOT NULL, PRIMARY KEY (id, nr)
) WITHOUT ROWID;
"""


def packed(value):
    """Tag what JSON does not know."""
    if isinstance(value, bytes):
        return {"b": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [packed(item) for item in value]
    if isinstance(value, dict):
        return {"m": {key: packed(item) for key, item in value.items()}}
    return value


def unpacked(value):
    if isinstance(value, list):
        return [unpacked(item) for item in value]
    if isinstance(value, dict):
        ((kind, inner),) = value.items()
        return base64.b64decode(inner) if kind == "b" else {key: unpacked(item) for key, item in inner.items()}
    return value


@attrs.define
class Head:
    highest: int = 0
    floor: int = 0
    writer: str = ""
    stamp: int = 0


class PoolStorage:
    page_size = 500
    tables = TABLES

    def __init__(self, path, size=4):
        self.path = path
        self.limiter = trio.CapacityLimiter(size)
        self.idle = queue.LifoQueue()
        self.all = []
        self.lock = threading.Lock()
        self.closed = False

    # --- connections ---

    def connect(self):
        connection = sqlite3.connect(self.path, timeout=20.0, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")  # the tests kill processes, not machines
        connection.executescript(self.tables)
        self.all.append(connection)
        return connection

    def take(self):
        with self.lock:
            if self.closed:
                raise StoreClosed("this store is closed")
            try:
                return self.idle.get_nowait()
            except queue.Empty:
                return self.connect()

    def give_back(self, connection):
        with self.lock:
            self.idle.put(connection)

    @contextmanager
    def transaction(self):
        connection = self.take()
        try:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                raise BrokerError(f"SQLite: {error}; nothing was stored") from error
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            try:
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise WriteOutcomeUnknown(f"SQLite could not confirm the commit: {error}") from error
        finally:
            self.give_back(connection)

    @contextmanager
    def reading(self):
        connection = self.take()
        try:
            yield connection
        finally:
            self.give_back(connection)

    def close(self):
        with self.lock:
            self.closed = True
            for connection in self.all:
                connection.close()

    # --- encoding ---

    def key(self, name):
        return check_persistence_id(name).encode()

    def dumps(self, value):
        check_plain(value)
        try:
            return json.dumps(packed(value), allow_nan=False)
        except ValueError as error:
            raise SerializationError(str(error)) from error

    def loads(self, body):
        return unpacked(json.loads(body))

    def encode_event(self, event):
        return [
            event.manifest,
            event.timestamp,
            sorted(event.tags),
            self.dumps(event.metadata),
            self.dumps(event.payload),
        ]

    def row(self, body, writer, stamp):
        manifest, timestamp, tags, metadata, payload = body
        return json.dumps([manifest, timestamp or stamp, tags, writer, metadata, payload])

    def decode_event(self, name, number, row):
        try:
            manifest, timestamp, tags, writer, metadata, payload = json.loads(row)
            return PersistentRepr(
                persistence_id=name, sequence_nr=number, payload=self.loads(payload), manifest=manifest, timestamp=timestamp,
                writer=UUID(writer), tags=tags, metadata=self.loads(metadata),
            )  # fmt: skip
        except (ValueError, TypeError) as error:
            raise CorruptRecord(f"{name} #{number} does not decode: {error}") from error

    # --- journal ---

    def head(self, connection, name):
        query = "SELECT highest, floor, writer, stamp FROM heads WHERE id = ?"
        row = connection.execute(query, (self.key(name),)).fetchone()
        return Head(*row) if row else Head()

    def store_head(self, connection, name, head):
        connection.execute("REPLACE INTO heads VALUES (?, ?, ?, ?, ?)", (self.key(name), *attrs.astuple(head)))

    def claim(self, name, writer):
        with self.transaction() as connection:
            head = self.head(connection, name)
            head.writer = writer.hex
            self.store_head(connection, name, head)
            return head.highest

    def write(self, writes, bodies, stamp):
        with self.transaction() as connection:
            self.check_order(connection, writes, bodies)
            return [self.store(connection, *pair, stamp) for pair in zip(writes, bodies, strict=True)]

    def check_order(self, connection, writes, bodies):
        check_order(writes, bodies, lambda name: self.head(connection, name))

    def is_fenced(self, head, write):
        return head.writer != write.writer.hex

    def store(self, connection, write, body, stamp):
        name = write.persistence_id
        head = self.head(connection, name)
        if isinstance(body, Rejection):
            return body
        if self.is_fenced(head, write):
            return WriterFenced(f"{name}: another writer holds the id")
        head.stamp = max(head.stamp, stamp)
        rows = [
            (self.key(name), event.sequence_nr, self.row(each, write.writer.hex, head.stamp))
            for event, each in zip(write.events, body, strict=True)
        ]
        self.insert(connection, rows)
        head.highest = write.last_sequence_nr
        self.store_head(connection, name, head)
        return None

    def insert(self, connection, rows):
        connection.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)

    def highest(self, name):
        with self.reading() as connection:
            return self.head(connection, name).highest

    def page(self, name, low, high, left, _place):
        with self.reading() as connection:
            return self.select(connection, self.key(name), low, high, left), None

    def select(self, connection, key, low, high, left):
        query = "SELECT nr, body FROM events WHERE id = ? AND nr BETWEEN ? AND ? ORDER BY nr LIMIT ?"
        return connection.execute(query, (key, low, high, left)).fetchall()

    def delete(self, name, number):
        with self.transaction() as connection:
            head = self.head(connection, name)
            floor = min(number, head.highest)
            if floor > head.floor:
                head.floor = floor
                self.store_head(connection, name, head)
                self.delete_rows(connection, name, floor)

    def delete_rows(self, connection, name, floor):
        connection.execute("DELETE FROM events WHERE id = ? AND nr <= ?", (self.key(name), floor))

    def ids(self):
        with self.reading() as connection:
            return [row[0].decode() for row in connection.execute("SELECT id FROM heads WHERE highest > 0")]

    # --- damage ---

    def corrupt_event(self, name, number):
        with self.transaction() as connection:
            changed = connection.execute(
                "UPDATE events SET body = '{' WHERE id = ? AND nr = ?", (self.key(name), number)
            )
            assert changed.rowcount == 1

    def corrupt_snapshot(self, name, number):
        with self.transaction() as connection:
            changed = connection.execute(
                "UPDATE snapshots SET body = '{' WHERE id = ? AND nr = ?", (self.key(name), number)
            )
            assert changed.rowcount == 1

    # --- snapshots ---

    def encode_snapshot(self, metadata, snapshot):
        return self.dumps(metadata.metadata), self.dumps(snapshot)

    def save(self, metadata, body):
        saved = attrs.evolve(metadata, timestamp=now())
        row = (self.key(saved.persistence_id), saved.sequence_nr, saved.timestamp, saved.bookmark, *body)
        with self.transaction() as connection:
            self.put_snapshot(connection, row)
        return saved

    def put_snapshot(self, connection, row):
        connection.execute("REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?, ?)", row)

    def where(self, name, criteria):
        bounds = (criteria.min_sequence_nr, criteria.max_sequence_nr, criteria.min_timestamp, criteria.max_timestamp)
        return "id = ? AND nr BETWEEN ? AND ? AND stamp BETWEEN ? AND ?", (self.key(name), *bounds)

    def load(self, name, criteria):
        where, bounds = self.where(name, criteria)
        query = f"SELECT nr, stamp, bookmark, metadata, body FROM snapshots WHERE {where} ORDER BY nr DESC LIMIT 1"
        with self.reading() as connection:
            row = connection.execute(query, bounds).fetchone()
        return None if row is None else self.selected(name, *row)

    def selected(self, name, number, stamp, bookmark, metadata, body):
        try:
            found = SnapshotMetadata(
                persistence_id=name,
                sequence_nr=number,
                timestamp=stamp,
                bookmark=bookmark,
                metadata=self.loads(metadata),
            )
            return SelectedSnapshot(found, self.loads(body))
        except (ValueError, TypeError) as error:
            raise SnapshotUnreadable(f"{name}: snapshot {number}: {error}") from error

    def delete_snapshots(self, name, criteria):
        where, bounds = self.where(name, criteria)
        with self.transaction() as connection:
            connection.execute(f"DELETE FROM snapshots WHERE {where}", bounds)


class Pool:
    """How it is opened; a defect replaces one of the classes."""

    Storage = PoolStorage
    Journal = ThirdPartyJournal
    Snapshots = ThirdPartySnapshots
    Turns = Turns
    capabilities = CAPABILITIES

    @classmethod
    @asynccontextmanager
    async def open(cls, path, kind):
        storage = cls.Storage(f"{path}/pool.sqlite")
        store = getattr(cls, kind.title())(storage, cls.Turns())
        try:
            await trio.lowlevel.checkpoint()
            yield store
        finally:
            await store.close()  # noqa: ASYNC102 - it shields itself
