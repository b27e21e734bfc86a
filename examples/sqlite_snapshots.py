"""A snapshot store on SQLite, in the file of `sqlite_journal.py`'s journal."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import attrs
from sqlite_journal import Database, decode, encode, key_of, now, opened

from kafka_persist.abc import Capability, SnapshotStore
from kafka_persist.errors import SnapshotUnreadable, printable
from kafka_persist.model import LATEST, MAX_SEQUENCE_NR, SelectedSnapshot, SelectionCriteria, SnapshotMetadata


class SqliteSnapshotStore(SnapshotStore):
    """Snapshots in the same file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def capabilities(self) -> frozenset[Capability]:
        return frozenset({Capability.DURABLE, Capability.METADATA, Capability.MULTIPLE_SNAPSHOTS})

    async def save(self, metadata: SnapshotMetadata, snapshot: object) -> SnapshotMetadata:
        body = encode({"snapshot": snapshot, "metadata": metadata.metadata})
        saved = attrs.evolve(metadata, timestamp=now())
        row = (key_of(saved.persistence_id), saved.sequence_nr, saved.timestamp, saved.bookmark, body)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?)", row)

        await self._database.run(work)
        return saved

    async def load(self, persistence_id: str, criteria: SelectionCriteria = LATEST) -> SelectedSnapshot | None:
        where, bounds = _where(persistence_id, criteria)
        query = f"SELECT nr, stamp, bookmark, body FROM snapshots WHERE {where} ORDER BY nr DESC LIMIT 1"
        row = await self._database.run(lambda connection: connection.execute(query, bounds).fetchone())
        if row is None:
            return None
        sequence_nr, stamp, bookmark, body = row
        with _readable(persistence_id, sequence_nr):
            fields = decode(body)
            metadata = SnapshotMetadata(
                persistence_id=persistence_id,
                sequence_nr=sequence_nr,
                timestamp=stamp,
                metadata=fields["metadata"],
                bookmark=bookmark,
            )
            return SelectedSnapshot(metadata, fields["snapshot"])

    async def delete(self, metadata: SnapshotMetadata) -> None:
        low, high = (metadata.timestamp, metadata.timestamp) if metadata.timestamp else (0, MAX_SEQUENCE_NR)
        number = metadata.sequence_nr
        criteria = SelectionCriteria(
            min_sequence_nr=number, max_sequence_nr=number, min_timestamp=low, max_timestamp=high
        )
        await self.delete_matching(metadata.persistence_id, criteria)

    async def delete_matching(self, persistence_id: str, criteria: SelectionCriteria) -> None:
        where, bounds = _where(persistence_id, criteria)
        await self._database.run(lambda connection: connection.execute(f"DELETE FROM snapshots WHERE {where}", bounds))


def _where(persistence_id: str, criteria: SelectionCriteria) -> tuple[str, tuple[object, ...]]:
    bounds = (criteria.min_sequence_nr, criteria.max_sequence_nr, criteria.min_timestamp, criteria.max_timestamp)
    return "id = ? AND nr BETWEEN ? AND ? AND stamp BETWEEN ? AND ?", (key_of(persistence_id), *bounds)


@contextmanager
def _readable(persistence_id: str, sequence_nr: int) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, KeyError) as error:
        raise SnapshotUnreadable(f"{printable(persistence_id)}: snapshot {sequence_nr}: {error}") from error


@asynccontextmanager
async def open_sqlite_snapshot_store(path: Path) -> AsyncIterator[SnapshotStore]:
    """Open the snapshot store in a file."""
    async with opened(path) as database:
        yield SqliteSnapshotStore(database)
