"""The index of a shared log: its ids and their runs, as a fold of the records that count. Pure; where it is kept is a `Table`'s.

`Index.take` is told each record that counts, in order, and gives the same whether a reader began at the log's first
record or where the log was cut: a run that was *carried* over a cut replaces itself.

What a reader that began at a cut has is complete if a marker later in the log counts as much as the reader does: it cannot
have ids and runs that do not exist, nor numbers or floors that are too high, so having as much is having all. A marker that counts
more says nothing: it may be of an older cut, and what it counts be carried further on.
"""

from __future__ import annotations

import abc
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from ..errors import CorruptRecord, JournalHeadLost, printable
from .chain import Head
from .items import RUN_OVERHEAD, Item, Marker, Run, State


class IdState(NamedTuple):
    """What the index says of an id.

    Attributes:
        highest: its highest sequence number.
        floor: its events up to this number are deleted.
        offset: where its floor was last written; -1 if that never happened. (What its highest number is, its runs say.)
    """

    highest: int = 0
    floor: int = 0
    offset: int = -1


MODULUS: Final = 1 << 63
"""Sums wrap around, so that they fit where other numbers do."""

UNKNOWN: Final = IdState()
"""The state of an id that has never been written."""


class Volume(NamedTuple):
    """How large a log is, in bytes: an estimate, for deciding when to clean it.

    Attributes:
        log: what stands in it, as far as its reader knows.
        alive: what would have to be carried if all of it were cut off.
    """

    log: int = 0
    alive: int = 0


class Saved(NamedTuple):
    """What a table stands for.

    Attributes:
        head: the last record that counts.
        counts: what exists.
        volume: its size.
        complete: nothing is missing.
        rung: where to begin to read what is not published: a number of items, and the offset where they end.
    """

    head: Head = Head()
    counts: Marker = Marker()
    volume: Volume = Volume()
    complete: bool = True
    rung: tuple[int, int] = (0, -1)


RECORD_BYTES: Final = 180
"""What a record counts for beside its items: header, key, and Kafka's own framing."""


class StoredRun(NamedTuple):
    """A run as the index keeps it.

    Attributes:
        first: sequence number of its first event.
        last: of its last one.
        offset: the record that holds it, the newest one where it was carried.
        writer: 16 bytes.
        entries: its events, encoded.
    """

    first: int
    last: int
    offset: int
    writer: bytes
    entries: bytes


class Table(abc.ABC):
    """Keeps an index. A reader of it sees what was put before, committed or not."""

    @abc.abstractmethod
    def state(self, persistence_id: str) -> IdState:
        """An id's state; `UNKNOWN` if it was never written."""

    @abc.abstractmethod
    def put_state(self, persistence_id: str, state: IdState) -> None:
        """Set an id's state."""

    @abc.abstractmethod
    def place_of(self, persistence_id: str, first: int) -> int:
        """Where the run of an id that begins with this number stands; -1 if there is none."""

    @abc.abstractmethod
    def put_run(self, persistence_id: str, run: StoredRun) -> None:
        """Add a run, or replace the one that begins with the same number."""

    @abc.abstractmethod
    def drop_runs(self, persistence_id: str, floor: int) -> Sequence[int]:
        """Remove the runs without an event above `floor`; the sizes of their entries."""

    @abc.abstractmethod
    def runs(self, persistence_id: str, low: int, limit: int) -> Sequence[StoredRun]:
        """The first `limit` runs that have an event with number `low` or above, ascending."""

    @abc.abstractmethod
    def ids(self, after: str, limit: int) -> Sequence[str]:
        """The first `limit` ids behind `after`, in an order of the table's own; "" begins."""

    @abc.abstractmethod
    def saved(self) -> Saved | None:
        """What was saved last; None in an empty table."""

    @abc.abstractmethod
    def save(self, saved: Saved, *, now: bool = False) -> None:
        """Note what the table stands for; kept with it, or not at all.

        Args:
            saved: what.
            now: put what waits in memory on disk, since there is much of it.
        """

    @abc.abstractmethod
    def clear(self) -> None:
        """Remove everything."""

    @abc.abstractmethod
    def close(self, *, keep: bool) -> None:
        """Let go of what keeps it.

        Args:
            keep: what was saved last is sound; otherwise what was saved since the last time on disk is given up.
        """


class Index:
    """The ids of a shared log."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.head, self.counts, self.volume, self.complete, self.rung = table.saved() or Saved()
        self.offset: int = self.head.offset
        """The last record that was taken: at times ahead of `head`, which a reader sets when it has read to the end."""

    def __repr__(self) -> str:
        return f"<Index of {self.counts.ids} ids, {self.counts.runs} runs, at offset {self.offset}>"

    def clear(self) -> None:
        """Begin anew: nothing is known."""
        self.table.clear()
        self.head, self.counts, self.volume, self.complete, self.rung = Saved()
        self.offset = -1

    def begin_at_cut(self) -> None:
        """The log's older part was cut off: nothing is certain before a marker says that all is there."""
        self.complete = False
        self.volume = Volume(0, self.volume.alive)

    def take(self, offset: int, items: Iterable[Item], where: str, size: int = 0) -> None:
        """Take a record that counts into account; one that was taken before is left alone.

        Args:
            offset: the record's.
            items: what stands in it; none for a claim.
            where: names the record in messages.
            size: bytes of the items.

        Raises:
            CorruptRecord: the items contradict what came before.
            JournalHeadLost: the log was cut though not everything before the cut was carried over it.
        """
        if offset <= self.offset:
            return
        for item in items:
            match item:
                case Run():
                    self._take_run(item, offset, where)
                case State():
                    self._take_state(item, offset, where)
                case Marker():
                    self._take_marker(item, where)
        self.offset = offset
        self.volume = Volume(self.volume.log + RECORD_BYTES + size, self.volume.alive)

    def has_cut(self, size: int) -> None:
        """The oldest `size` bytes of the log are gone; everything alive in them was carried."""
        self.volume = Volume(max(self.volume.alive, self.volume.log - size), self.volume.alive)

    def save(self, *, now: bool = False) -> None:
        """Have the table note what it stands for; see `Table.save`."""
        self.table.save(Saved(self.head, self.counts, self.volume, self.complete, self.rung), now=now)

    # --- what is alive -------------------------------------------------------------------------------------------

    def still_alive(self, item: Item, offset: int) -> Item | None:
        """What has to be carried of an item before the record at `offset`, which holds it, is cut off; None: nothing."""
        match item:
            case Run():
                there = self.table.place_of(item.persistence_id, item.first) == offset
                return item._replace(carried=True) if there else None
            case State():
                state = self.table.state(item.persistence_id)
                return State(item.persistence_id, state.highest, state.floor) if state.offset == offset else None
            case Marker():
                return None

    def check_complete(self, where: str) -> None:
        """Refuse what was read to the end of a log that was cut if no marker said that it is all.

        Raises:
            JournalHeadLost: it is not.
        """
        if not self.complete:
            raise JournalHeadLost(
                f"{where} was cut, and no later record says that what was cut off had been carried over: retention or a foreign "
                "deletion removed ids or events of it. Restore the topic from a copy"
            )

    def runs(self, persistence_id: str, low: int, high: int, slice_of: int = 64) -> Iterator[StoredRun]:
        """The runs of an id with events from `low` to `high`; more may come while they are taken."""
        while low <= high:
            found = self.table.runs(persistence_id, low, slice_of)
            for run in found:
                if run.first > high:
                    return
                yield run
            if len(found) < slice_of:
                return
            low = found[-1].last + 1

    # --- items ---------------------------------------------------------------------------------------------------

    def _take_run(self, run: Run, offset: int, where: str) -> None:
        name, writer, first, last, entries, carried = run
        before = self.table.state(name)
        known = carried and self.table.place_of(name, first) >= 0
        if first <= before.highest < last or (first <= before.highest and not carried):
            raise CorruptRecord(
                f"{where}: events {first} to {last} of {printable(name)} overlap with what was stored before, up to "
                f"{before.highest}: somebody else writes to this topic"
            )
        if carried and self.complete and not known:
            raise CorruptRecord(
                f"{where}: events {first} to {last} of {printable(name)} are said to be a copy, but were never stored, or are "
                "deleted: somebody else writes to this topic"
            )
        now = IdState(max(before.highest, last), before.floor, before.offset)
        self.table.put_state(name, now)
        alive = last > before.floor
        if alive:
            self.table.put_run(name, StoredRun(first, last, offset, writer, entries))
        self._count(before, now, int(alive and not known), _size_of(name, entries) if alive and not known else 0)

    def _take_state(self, state: State, offset: int, where: str) -> None:
        name, highest, floor = state
        before = self.table.state(name)
        if highest < before.highest or floor < before.floor:
            raise CorruptRecord(
                f"{where}: {printable(name)} has numbers up to {before.highest} and is deleted up to {before.floor}, but the "
                f"record says {highest} and {floor}: somebody else writes to this topic"
            )
        now = IdState(highest, floor, offset)
        self.table.put_state(name, now)
        dropped = self.table.drop_runs(name, floor) if floor > before.floor else ()
        size = -sum(dropped) - len(dropped) * _size_of(name)
        self._count(before, now, -len(dropped), size + (_size_of(name) if before.offset < 0 else 0))

    def _count(self, before: IdState, now: IdState, runs: int, size: int) -> None:
        """Note how many runs more there are, and how many bytes more are alive."""
        self.volume = Volume(self.volume.log, self.volume.alive + size)
        counts = self.counts
        self.counts = Marker(
            counts.ids + (before is UNKNOWN),
            counts.runs + runs,
            (counts.numbers + now.highest - before.highest) % MODULUS,
            (counts.floors + now.floor - before.floor) % MODULUS,
        )

    def _take_marker(self, marker: Marker, where: str) -> None:
        if marker == self.counts:
            self.complete = True
        elif self.complete:
            raise CorruptRecord(
                f"{where}: the log has {_told(self.counts)} here, but the record counts {_told(marker)}: records are missing, or "
                "somebody else writes to this topic"
            )


def _size_of(persistence_id: str, entries: bytes = b"") -> int:
    return RUN_OVERHEAD + len(persistence_id) + len(entries)


def _told(counts: Marker) -> str:
    return f"{counts.ids} ids and {counts.runs} runs of events (highest numbers {counts.numbers}, deleted {counts.floors} in all)"


class MemoryTable(Table):
    """An index in memory: what a process without a directory has, which reads its logs from their start."""

    def __init__(self) -> None:
        self._states: dict[str, IdState] = {}
        self._runs: dict[str, dict[int, StoredRun]] = {}
        self._order: list[str] = []
        self._places: dict[str, int] = {}

    def state(self, persistence_id: str) -> IdState:
        """See `Table.state`."""
        return self._states.get(persistence_id, UNKNOWN)

    def put_state(self, persistence_id: str, state: IdState) -> None:
        """See `Table.put_state`."""
        if persistence_id not in self._states:
            self._places[persistence_id] = len(self._order)
            self._order.append(persistence_id)
        self._states[persistence_id] = state

    def place_of(self, persistence_id: str, first: int) -> int:
        """See `Table.place_of`."""
        found = self._runs.get(persistence_id, {}).get(first)
        return -1 if found is None else found.offset

    def put_run(self, persistence_id: str, run: StoredRun) -> None:
        """See `Table.put_run`; runs that come out of order were carried, which is rare."""
        runs = self._runs.setdefault(persistence_id, {})
        late = run.first not in runs and bool(runs) and run.first < next(reversed(runs))
        runs[run.first] = run
        if late:
            self._runs[persistence_id] = dict(sorted(runs.items()))

    def drop_runs(self, persistence_id: str, floor: int) -> Sequence[int]:
        """See `Table.drop_runs`."""
        runs = self._runs.get(persistence_id, {})
        gone = [first for first, run in runs.items() if run.last <= floor]
        return [len(runs.pop(first).entries) for first in gone]

    def runs(self, persistence_id: str, low: int, limit: int) -> Sequence[StoredRun]:
        """See `Table.runs`."""
        runs = self._runs.get(persistence_id, {})
        if low <= 1:
            return list(itertools.islice(runs.values(), limit))
        return [run for run in runs.values() if run.last >= low][:limit]

    def ids(self, after: str, limit: int) -> Sequence[str]:
        """See `Table.ids`."""
        place = self._places[after] + 1 if after else 0
        return self._order[place : place + limit]

    def saved(self) -> None:
        """Nothing is kept."""

    def save(self, saved: Saved, *, now: bool = False) -> None:
        """Nothing is kept."""

    def clear(self) -> None:
        """See `Table.clear`."""
        self._states.clear()
        self._runs.clear()
        self._order.clear()
        self._places.clear()

    def close(self, *, keep: bool) -> None:
        """Nothing is kept."""
