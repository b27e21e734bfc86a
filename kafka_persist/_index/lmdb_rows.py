"""The index of a partition of the shared snapshot topic, in LMDB: rows by digest."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .._core.snapshot_shared_index import SnapshotTable
from .lmdb_file import LmdbFile, open_file

_SUMMARY: Final = b"summary"


def open_rows(directory: str, name: str, about: str) -> LmdbRows:
    """Open the index of one partition, empty if there is none that can be believed.

    Args:
        directory: of all indexes of this process.
        name: of this one's directory in it.
        about: what the index is of.

    Raises:
        IndexUnusable: the directory is in use, or cannot be written.
        UsageError: the extra ``shared`` is not installed.
    """
    return open_file(LmdbRows, Path(directory) / name, about, "snapshot store")


class LmdbRows(LmdbFile, SnapshotTable):
    """Rows in a directory; close it."""

    databases = (b"meta", b"rows")

    def row(self, digest: bytes) -> bytes | None:
        """See `SnapshotTable.row`."""
        found: bytes | None = self._call(self._txn.get, digest, db=self._all[1])
        return found

    def put_row(self, digest: bytes, row: bytes) -> None:
        """See `SnapshotTable.put_row`."""
        self._call(self._txn.put, digest, row, db=self._all[1])

    def drop_row(self, digest: bytes) -> None:
        """See `SnapshotTable.drop_row`."""
        self._call(self._txn.delete, digest, db=self._all[1])

    def summary(self) -> bytes | None:
        """See `SnapshotTable.summary`."""
        found: bytes | None = self._call(self._txn.get, _SUMMARY, db=self._all[0])
        return found

    def save(self, summary: bytes) -> None:
        """See `SnapshotTable.save`."""
        self._call(self._txn.put, _SUMMARY, summary, db=self._all[0])
        self._saved()
