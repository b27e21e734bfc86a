"""An index in LMDB: a few microseconds for a write or a read, so it takes place on Trio's thread.

One write transaction stays open and is committed now and then, together with the head that it stands for: whatever is
lost by a crash is read from the log again. Nothing waits for the disk (`trust` says why that is safe).
"""

from __future__ import annotations

import hashlib
import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from .._core.chain import Head
from .._core.index import UNKNOWN, IdState, Saved, StoredRun, Table, Volume
from .._core.items import Marker
from ..errors import IndexUnusable, UsageError
from .trust import Claim

T = TypeVar("T")

MAP_BYTES: Final = 1 << 40
"""Address space for one index, not memory or disk: the file grows with what is in it."""

SAVES_PER_COMMIT: Final = 2000
"""Records that one transaction holds at most; what a crash makes a reader read again."""

_STATE: Final = struct.Struct(">qqqq")  # highest, floor, offset, number of the id
_RUN: Final = struct.Struct(">qq16s")  # last, offset, writer
_KEY: Final = struct.Struct(">qq")  # number of the id, first
_HEAD: Final = struct.Struct(">q16s16sqqqqqqqqqq?q")  # the head, the four counts, the volume, complete, the next number
_LONGEST_KEY: Final = 480
"""LMDB's keys have at most 511 bytes; a longer id is found by its beginning and its hash."""

_META_PAGES: Final = 2
_HEAD_KEY: Final = b"head"
_KEPT: Final = "lmdb"


def open_table(directory: str, partition: int, about: str) -> LmdbTable:
    """Open the index of one log, empty if there is none that can be believed.

    Raises:
        IndexUnusable: the directory is in use, or cannot be written.
        UsageError: the extra ``shared`` is not installed.
    """
    try:
        import lmdb
    except ImportError as error:
        raise UsageError(
            "an index directory (kafka-journal.shared.directory) needs LMDB: pip install 'kafka-persist[shared]'"
        ) from error
    claim = Claim(Path(directory) / f"partition-{partition}")
    try:
        return LmdbTable(lmdb, claim, about)
    except BaseException:
        claim.release()
        raise


class LmdbTable(Table):
    """A table in a directory; close it.

    Args:
        lmdb: the module.
        claim: the directory, which nobody else uses.
        about: what the index is of.
    """

    def __init__(self, lmdb: Any, claim: Claim, about: str) -> None:
        self._lmdb, self._claim, self._about = lmdb, claim, about
        self._path = claim.directory / _KEPT
        if not claim.is_sound(about):
            self._remove()
        claim.mark_open(about)
        try:
            self._open()
            self._next = self._read_next()
        except IndexUnusable:  # believed, but LMDB cannot read it
            self._remove()
            self._open()
            self._next = 0

    def __repr__(self) -> str:
        return f"<LmdbTable in {self._path}>"

    def _remove(self) -> None:
        shutil.rmtree(self._path, ignore_errors=True)

    def _open(self) -> None:
        with self._translated():
            self._env = self._lmdb.open(
                str(self._path), map_size=MAP_BYTES, max_dbs=3, sync=False, metasync=False, readahead=False, mode=0o600
            )
        self._check_size()
        with self._translated():
            self._meta, self._ids, self._runs = (self._env.open_db(name) for name in (b"meta", b"ids", b"runs"))
            self._txn = self._env.begin(write=True)
        self._saves = 0

    def _check_size(self) -> None:
        """Refuse a file that ends too early: a look at a page that is not there would kill the process (SIGBUS)."""
        with self._translated():
            pages, page = self._env.info()["last_pgno"] + 1, self._env.stat()["psize"]
            if (self._path / "data.mdb").stat().st_size >= pages * page or pages <= _META_PAGES:
                return
        self._env.close()
        raise IndexUnusable(f"the index in {self._path} is damaged: its end is missing")

    def _read_next(self) -> int:
        with self._translated():
            found = self._txn.get(_HEAD_KEY, db=self._meta)
        if found is None:
            return 0
        if len(found) != _HEAD.size:
            self._env.close()
            raise IndexUnusable(f"the index in {self._path} is damaged")
        return int(_HEAD.unpack(found)[-1])

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (self._lmdb.Error, OSError) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> IndexUnusable:
        return IndexUnusable(
            f"the index in {self._path} cannot be used: {error}. Nothing stored is affected. Free disk space, or delete the "
            "directory, and open the journal again: the index is then built anew from the log"
        )

    def _call(self, fn: Callable[..., T], *args: Any, **options: Any) -> T:
        try:
            return fn(*args, **options)
        except (self._lmdb.Error, OSError) as error:
            raise self._unusable(error) from error

    # --- ids -----------------------------------------------------------------------------------------------------

    def state(self, persistence_id: str) -> IdState:
        """See `Table.state`."""
        found = self._call(self._txn.get, _key(persistence_id), db=self._ids)
        return UNKNOWN if found is None else IdState(*_STATE.unpack_from(found)[:3])

    def _number(self, persistence_id: str) -> int:
        found = self._call(self._txn.get, _key(persistence_id), db=self._ids)
        return -1 if found is None else int(_STATE.unpack_from(found)[3])

    def put_state(self, persistence_id: str, state: IdState) -> None:
        """See `Table.put_state`."""
        number = self._number(persistence_id)
        if number < 0:
            number = self._next
            self._next += 1
        value = _STATE.pack(*state, number)
        key = _key(persistence_id)
        raw = persistence_id.encode()
        self._call(self._txn.put, key, value if key == raw else value + raw, db=self._ids)

    def ids(self, after: str, limit: int) -> Sequence[str]:
        """See `Table.ids`."""
        found: list[str] = []
        with self._translated(), self._txn.cursor(db=self._ids) as cursor:
            start = _key(after) if after else b""
            there = cursor.set_range(start) if start else cursor.first()
            if there and start and cursor.key() == start:
                there = cursor.next()
            while there and len(found) < limit:
                key, value = cursor.item()
                found.append((value[_STATE.size :] or key).decode())
                there = cursor.next()
        return found

    # --- runs ----------------------------------------------------------------------------------------------------

    def place_of(self, persistence_id: str, first: int) -> int:
        """See `Table.place_of`."""
        key = _KEY.pack(self._number(persistence_id), first)
        found = self._call(self._txn.get, key, db=self._runs)
        return -1 if found is None else int(_RUN.unpack_from(found)[1])

    def put_run(self, persistence_id: str, run: StoredRun) -> None:
        """See `Table.put_run`."""
        first, last, offset, writer, entries = run
        key, value = _KEY.pack(self._number(persistence_id), first), _RUN.pack(last, offset, writer) + entries
        self._call(self._txn.put, key, value, db=self._runs)

    def drop_runs(self, persistence_id: str, floor: int) -> Sequence[int]:
        """See `Table.drop_runs`."""
        number, dropped = self._number(persistence_id), list[int]()
        with self._translated(), self._txn.cursor(db=self._runs) as cursor:
            there = cursor.set_range(_KEY.pack(number, 0))
            while there:
                found, first = _KEY.unpack(cursor.key())
                if found != number or first > floor:
                    break
                value = cursor.value()
                if _RUN.unpack_from(value)[0] <= floor:
                    dropped.append(len(value) - _RUN.size)
                    there = cursor.delete() and bool(cursor.key())  # it then stands at the next one
                else:
                    there = cursor.next()
        return dropped

    def runs(self, persistence_id: str, low: int, limit: int) -> Sequence[StoredRun]:
        """See `Table.runs`."""
        number = self._number(persistence_id)
        found: list[StoredRun] = []
        if number < 0:
            return found
        with self._translated(), self._txn.cursor(db=self._runs) as cursor:
            there = self._at_run(cursor, number, low)
            while there and len(found) < limit:
                key, value = cursor.item()
                owner, first = _KEY.unpack(key)
                if owner != number:
                    break
                last, offset, writer = _RUN.unpack_from(value)
                if last >= low:
                    found.append(StoredRun(first, last, offset, writer, value[_RUN.size :]))
                there = cursor.next()
        return found

    def _at_run(self, cursor: Any, number: int, low: int) -> bool:
        """Stand at the run that holds `low`, or at the first one above it."""
        there = bool(cursor.set_range(_KEY.pack(number, low)))
        if there and cursor.key() == _KEY.pack(number, low):
            return True
        before = bool(cursor.prev() if there else cursor.last())
        if before and _KEY.unpack(cursor.key())[0] == number:
            return True
        return bool(cursor.set_range(_KEY.pack(number, low)))

    # --- the head ------------------------------------------------------------------------------------------------

    def saved(self) -> Saved | None:
        """See `Table.saved`."""
        found = self._call(self._txn.get, _HEAD_KEY, db=self._meta)
        if found is None:
            return None
        fields = _HEAD.unpack(found)
        return Saved(Head(*fields[:7]), Marker(*fields[7:11]), Volume(*fields[11:13]), fields[13])

    def save(self, saved: Saved) -> None:
        """See `Table.save`."""
        head, counts, volume, complete = saved
        fields = head.offset, head.author, head.writer, head.epoch, head.highest, head.floor, head.published
        value = _HEAD.pack(*fields, *counts, *volume, complete, self._next)
        self._call(self._txn.put, _HEAD_KEY, value, db=self._meta)
        self._saves += 1
        if self._saves >= SAVES_PER_COMMIT:
            self._commit()

    def _commit(self) -> None:
        self._saves = 0
        with self._translated():
            self._txn.commit()
            self._txn = self._env.begin(write=True)

    def clear(self) -> None:
        """See `Table.clear`."""
        with self._translated():
            for database in (self._meta, self._ids, self._runs):
                self._txn.drop(database, delete=False)
        self._next = 0

    def close(self, *, keep: bool) -> None:
        """Write everything to disk, if it is worth keeping, and let go of the directory."""
        try:
            with self._translated():
                if keep:
                    self._txn.commit()
                    self._env.sync(True)
                else:
                    self._txn.abort()
            if keep:
                self._claim.mark_closed(self._about)
        finally:
            self._env.close()
            self._claim.release()


def _key(persistence_id: str) -> bytes:
    raw = persistence_id.encode()
    if len(raw) <= _LONGEST_KEY:
        return raw
    return raw[: _LONGEST_KEY - 33] + b"\xff" + hashlib.blake2b(raw, digest_size=32).digest()
