"""A journal on SQLite, as a third party would write it; `sqlite_snapshots.py` is the snapshot store.

Nothing of the library is used but the contract: `kafka_persist.abc`, `kafka_persist.model` and `kafka_persist.errors`.
`docs/write-your-own-journal.md` builds this file step by step; `tests/compat/test_sqlite.py` checks it.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import attrs
import trio

from kafka_persist.abc import Capability, Journal, ReplayChannel
from kafka_persist.errors import (
    BrokerError,
    CorruptRecord,
    SequenceNrConflict,
    SerializationError,
    StoreClosed,
    WriteOutcomeUnknown,
    WriterFenced,
    printable,
)
from kafka_persist.model import (
    MAX_SEQUENCE_NR,
    AtomicWrite,
    PersistentRepr,
    Rejection,
    check_persistence_id,
)

T = TypeVar("T")

PAGE = 500

TABLES = """
CREATE TABLE IF NOT EXISTS heads (
    id BLOB PRIMARY KEY, highest INTEGER NOT NULL, floor INTEGER NOT NULL, writer TEXT, stamp INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    id BLOB, nr INTEGER, body TEXT NOT NULL, PRIMARY KEY (id, nr)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS snapshots (
    id BLOB, nr INTEGER, stamp INTEGER NOT NULL, bookmark BLOB, body TEXT NOT NULL, PRIMARY KEY (id, nr)
) WITHOUT ROWID;
"""


# --- encoding ---


def encode(value: object) -> str:
    """Encode plain data as JSON; bytes become an object with the one key "$bytes"."""
    try:
        return json.dumps(_escaped(value), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SerializationError(f"SQLite journal: {error}") from error


def _escaped(value: object) -> object:
    """Refuse what JSON would change, and keep a user's own "$bytes" apart from ours by one more "$"."""
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("the keys of a map must be texts")
        return {f"${key}" if key.startswith("$") else key: _escaped(item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} is not plain data")


def decode(body: str) -> Any:
    """Decode what `encode` made."""
    return json.loads(body, object_hook=_unescaped)


def _unescaped(item: dict[str, Any]) -> object:
    if "$bytes" in item:
        return base64.b64decode(item["$bytes"])
    return {key.removeprefix("$"): value for key, value in item.items()}


def encode_event(event: PersistentRepr, stamp: int) -> str:
    """Encode the fields of an event that have no column."""
    return encode(
        {
            "payload": event.payload,
            "manifest": event.manifest,
            "writer": str(event.writer),
            "timestamp": event.timestamp or stamp,
            "tags": sorted(event.tags),
            "metadata": event.metadata,
        }
    )


def decode_event(persistence_id: str, sequence_nr: int, body: str) -> PersistentRepr:
    """Decode an event; a damaged one is a `CorruptRecord` that names it."""
    try:
        fields = decode(body)
        return PersistentRepr(
            persistence_id=persistence_id,
            sequence_nr=sequence_nr,
            payload=fields["payload"],
            manifest=fields["manifest"],
            writer=UUID(fields["writer"]),
            timestamp=fields["timestamp"],
            tags=fields["tags"],
            metadata=fields["metadata"],
        )
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptRecord(f"{printable(persistence_id)} #{sequence_nr} does not decode: {error}") from error


def now() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


# --- the database ---


class Database:
    """One connection. Calls take turns in the order in which they are made, each in a worker thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turns = trio.Lock()
        self._limiter = trio.CapacityLimiter(1)
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    async def open(self) -> None:
        await trio.to_thread.run_sync(self._connect, limiter=self._limiter)

    def _connect(self) -> None:
        self._connection = sqlite3.connect(self._path, timeout=5.0, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.executescript(TABLES)

    async def close(self) -> None:
        """Wait for the call under way, then refuse the others."""
        with trio.CancelScope(shield=True):
            async with self._turns:
                self._closed = True
                if self._connection is not None:
                    await trio.to_thread.run_sync(self._connection.close, limiter=self._limiter)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction. A cancelled caller still waits for a transaction that has begun."""
        async with self._turns:
            if self._closed or self._connection is None:
                raise StoreClosed("this SQLite store is closed; use it inside its `async with` block")
            return await trio.to_thread.run_sync(_in_transaction, self._connection, work, limiter=self._limiter)


def _in_transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        raise BrokerError(f"SQLite: {error}; nothing was stored") from error
    try:
        value = work(connection)
    except BaseException as error:
        connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise BrokerError(f"SQLite: {error}; nothing was stored") from error  # noqa: ASYNC104 - the error is kept and judged later
        raise
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise WriteOutcomeUnknown(f"SQLite could not confirm the commit: {error}") from error
    return value


@attrs.define
class Head:
    """What is known about one id."""

    highest: int = 0
    floor: int = 0
    writer: str | None = None
    stamp: int = 0


def read_head(connection: sqlite3.Connection, key: bytes) -> Head:
    row = connection.execute("SELECT highest, floor, writer, stamp FROM heads WHERE id = ?", (key,)).fetchone()
    return Head(*row) if row else Head()


def store_head(connection: sqlite3.Connection, key: bytes, head: Head) -> None:
    connection.execute("REPLACE INTO heads VALUES (?, ?, ?, ?, ?)", (key, *attrs.astuple(head)))


def key_of(persistence_id: str) -> bytes:
    """Ids are compared byte by byte: no collation, no normalization."""
    return check_persistence_id(persistence_id).encode()


# --- the journal ---


class SqliteJournal(Journal):
    """A journal in one file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def capabilities(self) -> frozenset[Capability]:
        return frozenset(Capability) - {Capability.MULTIPLE_SNAPSHOTS, Capability.SNAPSHOT_FALLBACK}

    async def claim(self, persistence_id: str, writer: UUID) -> int:
        key = key_of(persistence_id)

        def work(connection: sqlite3.Connection) -> int:
            head = read_head(connection, key)
            head.writer = str(writer)
            store_head(connection, key, head)
            return head.highest

        return await self._database.run(work)

    async def write(self, writes: Sequence[AtomicWrite]) -> Sequence[Rejection | None]:
        stamp = now()
        writes = tuple(writes)  # the caller may go on with its list while this call waits for its turn
        prepared = [_prepared(write, stamp) for write in writes]

        def work(connection: sqlite3.Connection) -> list[Rejection | WriterFenced | None]:
            _check_sequence_nrs(connection, writes, prepared)
            return [_store(connection, *pair, stamp) for pair in zip(writes, prepared, strict=True)]

        results = await self._database.run(work)
        for result in results:
            if isinstance(result, WriterFenced):
                raise WriterFenced(str(result), results=results)
        return [result for result in results if not isinstance(result, WriterFenced)]

    def replay(
        self,
        persistence_id: str,
        *,
        from_sequence_nr: int = 1,
        to_sequence_nr: int = MAX_SEQUENCE_NR,
        max_events: int | None = None,
    ) -> AbstractAsyncContextManager[ReplayChannel]:
        return self._replay(persistence_id, max(from_sequence_nr, 1), to_sequence_nr, max_events)

    @asynccontextmanager
    async def _replay(
        self, persistence_id: str, low: int, high: int, max_events: int | None
    ) -> AsyncIterator[ReplayChannel]:
        end = min(high, await self.highest_sequence_nr(persistence_id))
        left = MAX_SEQUENCE_NR if max_events is None else max_events
        async with SqliteReplay(self._database, persistence_id, low, end, left) as channel:
            yield channel

    async def highest_sequence_nr(self, persistence_id: str) -> int:
        key = key_of(persistence_id)
        return await self._database.run(lambda connection: read_head(connection, key).highest)

    async def delete_to(self, persistence_id: str, to_sequence_nr: int) -> None:
        key = key_of(persistence_id)

        def work(connection: sqlite3.Connection) -> None:
            head = read_head(connection, key)
            floor = min(to_sequence_nr, head.highest)
            if floor > head.floor:
                head.floor = floor
                store_head(connection, key, head)
                connection.execute("DELETE FROM events WHERE id = ? AND nr <= ?", (key, floor))

        await self._database.run(work)

    @asynccontextmanager
    async def persistence_ids(self) -> AsyncIterator[trio.abc.ReceiveChannel[str]]:  # type: ignore[override]
        def work(connection: sqlite3.Connection) -> list[bytes]:
            return [row[0] for row in connection.execute("SELECT id FROM heads WHERE highest > 0")]

        keys = await self._database.run(work)
        send, receive = trio.open_memory_channel[str](len(keys))
        with send, receive:
            for key in keys:
                send.send_nowait(key.decode())
            send.close()
            yield receive


def _prepared(write: AtomicWrite, stamp: int) -> list[str] | Rejection:
    try:
        return [encode_event(event, stamp) for event in write.events]
    except SerializationError as error:
        return Rejection(str(error), error)


def _check_sequence_nrs(
    connection: sqlite3.Connection, writes: Sequence[AtomicWrite], prepared: Sequence[list[str] | Rejection]
) -> None:
    last: dict[bytes, int] = {}
    for write, bodies in zip(writes, prepared, strict=True):
        key = key_of(write.persistence_id)
        head = read_head(connection, key)
        if isinstance(bodies, Rejection) or head.writer != str(write.writer):
            continue
        highest = last.get(key, head.highest)
        if write.first_sequence_nr <= highest:
            raise SequenceNrConflict(
                f"{printable(write.persistence_id)}: {write.first_sequence_nr} is not above {highest}; claim the id anew"
            )
        last[key] = write.last_sequence_nr


def _store(
    connection: sqlite3.Connection, write: AtomicWrite, bodies: list[str] | Rejection, stamp: int
) -> Rejection | WriterFenced | None:
    key = key_of(write.persistence_id)
    head = read_head(connection, key)
    if isinstance(bodies, Rejection):
        return bodies
    if head.writer != str(write.writer):
        return WriterFenced(f"{printable(write.persistence_id)}: another writer holds the id; claim it first")
    if stamp < head.stamp:  # the clock was set back
        bodies = [encode_event(event, head.stamp) for event in write.events]
    rows = [(key, event.sequence_nr, body) for event, body in zip(write.events, bodies, strict=True)]
    connection.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)
    head.highest = write.last_sequence_nr
    head.stamp = max(head.stamp, stamp)
    store_head(connection, key, head)
    return None


class SqliteReplay(trio.abc.ReceiveChannel[PersistentRepr]):
    """Reads page by page, so that memory is bounded whatever the number of events."""

    def __init__(self, database: Database, persistence_id: str, low: int, high: int, left: int) -> None:
        self._database = database
        self._persistence_id = persistence_id
        self._low = low
        self._high = high
        self._left = left
        self._page: deque[tuple[int, str]] = deque()
        self._closed = False

    async def receive(self) -> PersistentRepr:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError("this replay is closed")
        if self._left > 0 and self._low <= self._high and not self._page:
            self._page.extend(await self._database.run(self._read_page))
        if self._left <= 0 or not self._page:
            raise trio.EndOfChannel
        event = decode_event(self._persistence_id, *self._page[0])
        self._page.popleft()
        self._low = event.sequence_nr + 1
        self._left -= 1
        return event

    def _read_page(self, connection: sqlite3.Connection) -> list[tuple[int, str]]:
        return connection.execute(
            "SELECT nr, body FROM events WHERE id = ? AND nr BETWEEN ? AND ? ORDER BY nr LIMIT ?",
            (key_of(self._persistence_id), self._low, self._high, min(PAGE, self._left)),
        ).fetchall()

    async def aclose(self) -> None:
        self._closed = True
        await trio.lowlevel.checkpoint()


# --- opening ---


@asynccontextmanager
async def open_sqlite_journal(path: Path) -> AsyncIterator[Journal]:
    """Open the journal in a file."""
    async with opened(path) as database:
        yield SqliteJournal(database)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Database]:
    """Open the file; `sqlite_snapshots` does, too."""
    database = Database(path)
    try:
        await database.open()
        yield database
    finally:
        await database.close()  # noqa: ASYNC102 - closing is bounded or shields itself
