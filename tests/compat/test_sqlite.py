"""The third-party example, a journal and a snapshot store on SQLite, keeps every promise."""

import sqlite3
import sys
from pathlib import Path

import pytest

from compat_suite import Backdoor, Elsewhere, JournalSpec, SnapshotStoreSpec
from compat_suite.capabilities import JOURNAL, SNAPSHOT_STORE
from kafka_persist.abc import Capability

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import sqlite_journal
import sqlite_snapshots


class SqliteBackdoor(Backdoor):
    def __init__(self, path):
        self.path = path

    def _execute(self, statement, *values):
        connection = sqlite3.connect(self.path)
        with connection:
            assert connection.execute(statement, values).rowcount == 1
        connection.close()

    async def corrupt_event(self, persistence_id, sequence_nr):
        self._execute("UPDATE events SET body = '{' WHERE id = ? AND nr = ?", persistence_id.encode(), sequence_nr)

    async def corrupt_snapshot(self, persistence_id, sequence_nr):
        self._execute("UPDATE snapshots SET body = '{' WHERE id = ? AND nr = ?", persistence_id.encode(), sequence_nr)


class InAFile:
    uses_threads = True

    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "journal.sqlite"

    @pytest.fixture
    def backdoor(self, path):
        return SqliteBackdoor(path)


class TestSqliteJournal(InAFile, JournalSpec):
    capabilities = JOURNAL

    @pytest.fixture
    def elsewhere(self, path):
        return Elsewhere("sqlite_journal:open_sqlite_journal", (path,))

    @pytest.fixture
    def open_journal(self, path):
        return lambda: sqlite_journal.open_sqlite_journal(path)


class TestSqliteSnapshotStore(InAFile, SnapshotStoreSpec):
    capabilities = SNAPSHOT_STORE - {Capability.SNAPSHOT_FALLBACK}

    @pytest.fixture
    def elsewhere(self, path):
        return Elsewhere("sqlite_snapshots:open_sqlite_snapshot_store", (path,))

    @pytest.fixture
    def open_snapshot_store(self, path):
        return lambda: sqlite_snapshots.open_sqlite_snapshot_store(path)
