"""A journal and a snapshot store in one append-only file each; every process keeps an index in memory.

A record is its length, a checksum and CBOR. Whoever holds the lock of the file first reads what others appended. A record that
is not whole at the end is from somebody who was killed: the next one who holds the lock cuts it off.
"""

import bisect
import fcntl
import os
import struct
import threading
import zlib
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

import attrs
import cbor2
import trio

from kafka_persist.errors import CorruptRecord, SerializationError, SnapshotUnreadable, StoreClosed, WriterFenced
from kafka_persist.model import PersistentRepr, Rejection, SelectedSnapshot, SnapshotMetadata

from .base import CAPABILITIES, ThirdPartyJournal, ThirdPartySnapshots, check_order, check_plain, now
from .turns import Turns

FRAME = struct.Struct(">II")


@attrs.define
class Log:
    highest: int = 0
    floor: int = 0
    writer: str = ""
    stamp: int = 0
    firsts: list = attrs.field(factory=list)
    places: list = attrs.field(factory=list)


class FileStorage:
    page_size = 200

    def __init__(self, path):
        self.limiter = trio.CapacityLimiter(4)
        self.lock = threading.Lock()
        self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.end = 0
        self.logs = {}
        self.snapshots = {}
        self.closed = False

    def close(self):
        with self.lock:
            self.closed = True
            os.close(self.file)

    # --- the file ---

    @contextmanager
    def locked(self):
        with self.lock:
            if self.closed:  # since this call was handed to its thread; the descriptor may be another file's by now
                raise StoreClosed("this store is closed")
            fcntl.flock(self.file, fcntl.LOCK_EX)
            try:
                self.catch_up()
                yield
            finally:
                fcntl.flock(self.file, fcntl.LOCK_UN)

    def catch_up(self):
        """Read what others appended."""
        size = os.fstat(self.file).st_size
        data = os.pread(self.file, size - self.end, self.end) if size > self.end else b""
        place = 0
        while place < len(data):
            head = data[place : place + FRAME.size]
            length = FRAME.unpack(head)[0] if len(head) == FRAME.size else len(data)
            body = data[place + FRAME.size : place + FRAME.size + length]
            if len(body) < length or zlib.crc32(body) != FRAME.unpack(head)[1]:
                os.ftruncate(self.file, self.end + place)
                break
            self.apply(cbor2.loads(body), self.end + place + FRAME.size, length)
            place += FRAME.size + length
        self.end += place

    def frame(self, record):
        body = cbor2.dumps(record)
        return FRAME.pack(len(body), zlib.crc32(body)) + body

    def append(self, records):
        """Append in one call to the system, then index."""
        self.put(b"".join(self.frame(record) for record in records))
        self.catch_up()

    def put(self, data):
        while data:
            data = data[os.write(self.file, data) :]

    def apply(self, record, offset, length):
        kind, name, *rest = record
        getattr(self, f"apply_{kind}")(self.key(name), offset, length, *rest)

    def key(self, name):
        return name

    # --- journal ---

    def log(self, name):
        return self.logs.get(self.key(name)) or Log()

    def apply_claim(self, name, _offset, _length, writer):
        self.logs.setdefault(name, Log()).writer = writer

    def apply_write(self, name, offset, length, _writer, stamp, first, events):
        log = self.logs.setdefault(name, Log())
        log.highest = first + len(events) - 1
        log.stamp = max(log.stamp, stamp)
        log.firsts.append(first)
        log.places.append((offset, length))

    def apply_delete(self, name, _offset, _length, floor):
        log = self.logs.setdefault(name, Log())
        log.floor = max(log.floor, floor)

    def encode_event(self, event):
        check_plain(event.payload)
        check_plain(event.metadata)
        try:
            return cbor2.dumps([event.manifest, event.timestamp, sorted(event.tags), event.metadata, event.payload])
        except (ValueError, cbor2.CBOREncodeError) as error:
            raise SerializationError(str(error)) from error

    def claim(self, name, writer):
        with self.locked():
            self.append([["claim", name, writer.hex]])
            return self.log(name).highest

    def write(self, writes, bodies, stamp):
        with self.locked():
            self.check_order(writes, bodies)
            results = [self.decide(write, body) for write, body in zip(writes, bodies, strict=True)]
            self.append_writes(writes, bodies, results, stamp)
            return results

    def check_order(self, writes, bodies):
        check_order(writes, bodies, self.log)

    def decide(self, write, body):
        if isinstance(body, Rejection):
            return body
        if self.log(write.persistence_id).writer != write.writer.hex:
            return WriterFenced(f"{write.persistence_id}: another writer holds the id")
        return None

    def append_writes(self, writes, bodies, results, stamp):
        self.append(
            self.write_record(write, body, stamp)
            for write, body, result in zip(writes, bodies, results, strict=True)
            if result is None
        )

    def write_record(self, write, body, stamp):
        name = write.persistence_id
        stamp = max(stamp, self.log(name).stamp)
        return ["write", name, write.writer.hex, stamp, write.first_sequence_nr, body]

    def highest(self, name):
        with self.locked():
            return self.log(name).highest

    def delete(self, name, number):
        with self.locked():
            floor = min(number, self.log(name).highest)
            if floor > self.log(name).floor:
                self.append([["delete", name, floor]])

    def page(self, name, low, high, left, place):
        """Give encoded events; `place` is the index of the next atomic write."""
        with self.locked():
            log = self.log(name)
            low = max(low, log.floor + 1)
            place = max(0, bisect.bisect_right(log.firsts, low) - 1)
            found = []
            while place < len(log.places) and len(found) < left:
                number, rows = self.read(log.places[place])
                found += [(n, row) for n, row in enumerate(rows, number) if low <= n <= high]
                place += 1
            return found[:left], place

    def read(self, place):
        _, _, writer, stamp, first, events = cbor2.loads(os.pread(self.file, place[1], place[0]))
        return first, [(writer, stamp, event) for event in events]

    def decode_event(self, name, number, row):
        writer, stamp, body = row
        try:
            manifest, timestamp, tags, metadata, payload = cbor2.loads(body)
            return PersistentRepr(
                persistence_id=name, sequence_nr=number, payload=payload, manifest=manifest, timestamp=timestamp or stamp,
                writer=UUID(writer), tags=tags, metadata=metadata,
            )  # fmt: skip
        except (ValueError, TypeError, cbor2.CBORDecodeError) as error:
            raise CorruptRecord(f"{name} #{number} does not decode: {error}") from error

    def ids(self):
        with self.locked():
            return [name for name, log in self.logs.items() if log.highest]

    # --- damage: the file is written anew ---

    def corrupt_event(self, name, number):
        def changed(record):
            if record[0] == "write" and record[1] == name:
                record[5] = [b"\xff" if n == number else event for n, event in enumerate(record[5], record[4])]

        self.rewrite(changed)

    def corrupt_snapshot(self, name, number):
        def changed(record):
            if record[:3] == ["save", name, number]:
                record[4] = b"\xff"

        self.rewrite(changed)

    def rewrite(self, change):
        with self.locked():
            data, records = os.pread(self.file, self.end, 0), []
            while data:
                length = FRAME.unpack(data[: FRAME.size])[0]
                records.append(cbor2.loads(data[FRAME.size : FRAME.size + length]))
                change(records[-1])
                data = data[FRAME.size + length :]
            os.ftruncate(self.file, 0)
            self.put(b"".join(self.frame(record) for record in records))

    # --- snapshots ---

    def encode_snapshot(self, metadata, snapshot):
        check_plain(snapshot)
        check_plain(metadata.metadata)
        return cbor2.dumps([metadata.bookmark, metadata.metadata, snapshot])

    def apply_save(self, name, offset, length, number, stamp, _body):
        self.snapshots.setdefault(name, {})[number] = (stamp, offset, length)

    def apply_drop(self, name, _offset, _length, numbers):
        for number in numbers:
            self.snapshots.get(name, {}).pop(number, None)

    def save(self, metadata, body):
        with self.locked():
            saved = attrs.evolve(metadata, timestamp=now())
            self.append_save(saved, body)
            return saved

    def append_save(self, saved, body):
        self.append([["save", saved.persistence_id, saved.sequence_nr, saved.timestamp, body]])

    def matching(self, name, criteria):
        return [
            number
            for number, (stamp, _, _) in self.snapshots.get(self.key(name), {}).items()
            if criteria.min_sequence_nr <= number <= criteria.max_sequence_nr
            and criteria.min_timestamp <= stamp <= criteria.max_timestamp
        ]

    def load(self, name, criteria):
        with self.locked():
            numbers = self.matching(name, criteria)
            if not numbers:
                return None
            stamp, offset, length = self.snapshots[self.key(name)][max(numbers)]
            body = cbor2.loads(os.pread(self.file, length, offset))[4]
        return self.selected(name, max(numbers), stamp, body)

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
        with self.locked():
            numbers = self.matching(name, criteria)
            if numbers:
                self.append([["drop", name, numbers]])


class File:
    Storage = FileStorage
    Journal = ThirdPartyJournal
    Snapshots = ThirdPartySnapshots
    Turns = Turns
    capabilities = CAPABILITIES

    @classmethod
    @asynccontextmanager
    async def open(cls, path, kind):
        storage = cls.Storage(f"{path}/{kind}.log")
        store = getattr(cls, kind.title())(storage, cls.Turns())
        try:
            await trio.lowlevel.checkpoint()
            yield store
        finally:
            await store.close()  # noqa: ASYNC102 - it shields itself
