"""Small records that were read or written a while ago: a load that finds its snapshot among them reads nothing more."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from .._core.snapshot_format import Kind
from ..driver import Log, Record

MAX_BYTES: Final = 16 * 1024 * 1024
"""Of all that are remembered."""

MAX_RECORD: Final = 64 * 1024
"""Larger ones are read again."""

OVERHEAD: Final = 200
"""What a record counts for beside its value."""


class RecentRecords:
    """The commit records of small snapshots, by log and offset; those that came first go first.

    Which snapshots there are is never decided here: what stands at an offset does not change, as long as the log is the same.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._records: OrderedDict[tuple[Log, int], Record] = OrderedDict()

    def __repr__(self) -> str:
        return f"<RecentRecords: {len(self._records)}, {self._bytes} bytes>"

    def put(self, log: Log, records: Sequence[Record]) -> None:
        """Remember what is worth it."""
        for record in records:
            key, value = record.key, record.value
            if value is not None and len(value) <= MAX_RECORD and key and len(key) > 1 and key[1] == Kind.COMMIT:
                self._drop((log, record.offset))
                self._records[log, record.offset] = record
                self._bytes += OVERHEAD + len(value)
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._records)))

    def _drop(self, place: tuple[Log, int]) -> None:
        record = self._records.pop(place, None)
        if record is not None:
            self._bytes -= OVERHEAD + len(record.value or b"")

    def get(self, log: Log, offset: int) -> Record | None:
        """The record that stands there, if it is remembered."""
        return self._records.get((log, offset))

    def forget(self, log: Log) -> None:
        """The log may be another one."""
        for place in [place for place in self._records if place[0] == log]:
            self._drop(place)
