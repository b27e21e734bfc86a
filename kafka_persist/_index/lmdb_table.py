"""The index of a shared log of events, in LMDB: a few microseconds for a write or a read, so it takes place on Trio's thread."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from .._core.chain import Head
from .._core.index import UNKNOWN, IdState, Saved, StoredRun, Table, Volume
from .._core.items import Marker
from ..errors import IndexUnusable
from .lmdb_file import LmdbFile, open_file

_STATE: Final = struct.Struct(">qqqq")  # highest, floor, offset, number of the id
_RUN: Final = struct.Struct(">qq16s")  # last, offset, writer
_KEY: Final = struct.Struct(">qq")  # number of the id, first
_HEAD: Final = struct.Struct(
    ">q16s16sqqqqqqqqqqq?qqq"
)  # the head, the four counts, the volume, complete, the rung, the next number
_LONGEST_KEY: Final = 480
"""LMDB's keys have at most 511 bytes; a longer id is found by its beginning and its hash."""

_HEAD_KEY: Final = b"head"

REMEMBERED: Final = 4096
"""Ids whose state is kept at hand: a write asks for it five times, and each time would cost 2 us. At most about 5 MB."""


class _Row(NamedTuple):
    """What is stored of an id, and its number."""

    state: IdState
    number: int


def open_table(directory: str, partition: int, about: str) -> LmdbTable:
    """Open the index of one log, empty if there is none that can be believed.

    Raises:
        IndexUnusable: the directory is in use, or cannot be written.
        UsageError: the extra ``shared`` is not installed.
    """
    return open_file(LmdbTable, Path(directory) / f"partition-{partition}", about, "journal")


class LmdbTable(LmdbFile, Table):
    """A table in a directory; close it."""

    databases = (b"meta", b"ids", b"runs")

    def _begin(self) -> None:
        self._meta, self._ids, self._runs = self._all
        self._rows: dict[str, _Row] = {}
        self._next = self._read_next()

    def _read_next(self) -> int:
        with self._translated():
            found = self._txn.get(_HEAD_KEY, db=self._meta)
        if found is None:
            return 0
        if len(found) != _HEAD.size:
            self._env.close()
            raise IndexUnusable(f"the index in {self._path} is damaged")
        return int(_HEAD.unpack(found)[-1])

    # --- ids -----------------------------------------------------------------------------------------------------

    def state(self, persistence_id: str) -> IdState:
        """See `Table.state`."""
        row = self._row(persistence_id)
        return UNKNOWN if row is None else row.state

    def _row(self, persistence_id: str) -> _Row | None:
        row = self._rows.get(persistence_id)
        if row is None:
            found = self._call(self._txn.get, _key(persistence_id), db=self._ids)
            if found is None:
                return None
            highest, floor, offset, number = _STATE.unpack_from(found)
            row = self._remember(persistence_id, _Row(IdState(highest, floor, offset), number))
        return row

    def _remember(self, persistence_id: str, row: _Row) -> _Row:
        if len(self._rows) >= REMEMBERED and persistence_id not in self._rows:
            self._rows.clear()  # those in use are back at once; keeping an order would cost more than looking again
        self._rows[persistence_id] = row
        return row

    def _number(self, persistence_id: str) -> int:
        row = self._row(persistence_id)
        return -1 if row is None else row.number

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
        self._remember(persistence_id, _Row(state, number))

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
        head, counts, volume = Head(*fields[:8]), Marker(*fields[8:12]), Volume(*fields[12:14])
        return Saved(head, counts, volume, fields[14], (fields[15], fields[16]))

    def save(self, saved: Saved, *, now: bool = False) -> None:
        """See `Table.save`."""
        head, counts, volume, complete, rung = saved
        numbers = head.epoch, head.highest, head.floor, head.published, head.commands
        value = _HEAD.pack(
            head.offset, head.author, head.writer, *numbers, *counts, *volume, complete, *rung, self._next
        )
        self._call(self._txn.put, _HEAD_KEY, value, db=self._meta)
        self._saved(now=now)

    def clear(self) -> None:
        """See `Table.clear`."""
        super().clear()
        self._next = 0
        self._rows.clear()


def _key(persistence_id: str) -> bytes:
    raw = persistence_id.encode()
    if len(raw) <= _LONGEST_KEY:
        return raw
    return raw[: _LONGEST_KEY - 33] + b"\xff" + hashlib.blake2b(raw, digest_size=32).digest()
