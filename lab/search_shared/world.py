"""Logs, and what readers and indexes make of them.

A `Log` keeps every record that was ever stored, also those that were cut off: folded without any cut they are *the truth*. Whoever
reads, from the log's start or from any index that was ever right, must arrive at the same ids, numbers, floors and events, or
raise an error, and may raise only where the broker lost records.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import attrs

from kafka_persist._core.chain import Chain, Head, check_complete, check_range
from kafka_persist._core.envelope import Envelope, Kind
from kafka_persist._core.index import IdState, Index, MemoryTable, Saved, StoredRun
from kafka_persist._core.items import Item, Marker, Run, State
from kafka_persist.errors import PersistenceError

from .protocol import Protocol

NAME: Final = "log"
IDS: Final = ("a", "b")

Failure: TypeAlias = type[PersistenceError]


class Violation(Exception):  # noqa: N818 - what the search looks for, not a failure of the search
    """The protocol breaks one of its promises."""


class Stored(NamedTuple):
    """A record.

    Attributes:
        envelope: its header.
        items: what stands in it.
        key: tells equal records of different submissions apart.
    """

    envelope: Envelope
    items: tuple[Item, ...]
    key: tuple[int, int]


class Known(NamedTuple):
    """A chain with its index, frozen.

    Attributes:
        chain: the log, judged up to some offset.
        states: of each id.
        runs: id and run, ascending.
        counts: what exists.
        complete: nothing is missing.
        offset: the last record that the index has.
    """

    chain: Chain
    states: tuple[tuple[str, IdState], ...] = ()
    runs: tuple[tuple[str, StoredRun], ...] = ()
    counts: Marker = Marker()
    complete: bool = True
    offset: int = -1

    def state(self, persistence_id: str) -> IdState:
        """Of an id."""
        return dict(self.states).get(persistence_id, IdState())

    @property
    def visible(self) -> tuple[object, ...]:
        """What anybody can see of it: highest numbers, floors and events; not where they stand."""
        states = tuple((name, state.highest, state.floor) for name, state in self.states)
        runs = tuple((name, run.first, run.last, run.writer) for name, run in self.runs)
        return states, runs


@attrs.frozen(eq=False)
class Log:
    """One log at one time.

    Attributes:
        number: in `World.logs`.
        records: numbers of all records from offset 0 on, cut off or not.
        start: the first offset that can still be read.
        damaged: the broker lost records of it.
        counted: the offsets of the records that count.
        indexes: what is known behind each of them.
        used: highest number and floor of each id, added up apart from any index.
        truth: what all records make, judged without cuts; an error if that fails.
    """

    number: int
    records: tuple[int, ...]
    start: int = 0
    damaged: bool = False
    counted: tuple[int, ...] = ()
    indexes: tuple[int, ...] = ()
    used: tuple[tuple[str, int, int], ...] = ()
    truth: int | Failure = 0

    @property
    def end(self) -> int:
        """The offset of the next record."""
        return len(self.records)

    def counts(self, record: int) -> bool:
        """Whether a record counts, wherever it stands."""
        return any(self.records[offset] == record for offset in self.counted)


class World:
    """All records, states of knowledge and logs met so far, each once."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.records: list[Stored] = []
        self.known: list[Known] = []
        self.logs: list[Log] = []
        self._record_numbers: dict[Stored, int] = {}
        self._known_numbers: dict[Known, int] = {}
        self._log_numbers: dict[tuple[tuple[int, ...], int, bool], int] = {}
        self._taken: dict[tuple[int, int, int], int] = {}
        self._steps: dict[tuple[int, int, int, int], int | Failure] = {}
        self._readings: dict[tuple[int, int, int], int | Failure] = {}
        self.nothing = self.number_of(Known(Chain(NAME, shared=True)))
        self.empty = self.log((), 0, damaged=False)

    # --- numbers -------------------------------------------------------------------------------------------------

    def record(self, stored: Stored) -> int:
        """The number of a record."""
        found = self._record_numbers.get(stored)
        if found is None:
            found = self._record_numbers[stored] = len(self.records)
            self.records.append(stored)
        return found

    def number_of(self, known: Known) -> int:
        """The number of what is known."""
        found = self._known_numbers.get(known)
        if found is None:
            found = self._known_numbers[known] = len(self.known)
            self.known.append(known)
        return found

    def log(self, records: tuple[int, ...], start: int, *, damaged: bool) -> int:
        """The number of a log; checks it when it is new."""
        found = self._log_numbers.get((records, start, damaged))
        if found is None:
            found = self._log_numbers[records, start, damaged] = len(self.logs)
            self.logs.append(Log(found, records, start, damaged))
            self._judge(found)
        return found

    def append(self, log: Log, record: int) -> int:
        """The log with one more record."""
        return self.log((*log.records, record), log.start, damaged=log.damaged)

    def cut(self, log: Log, start: int) -> int:
        """The log without what stands below `start`."""
        return self.log(log.records, max(start, log.start), damaged=log.damaged)

    def truncate(self, log: Log, end: int) -> int:
        """The log without what stands at `end` and above."""
        return self.log(log.records[:end], min(log.start, end), damaged=True)

    # --- folding -------------------------------------------------------------------------------------------------

    def thaw(self, known: Known) -> Index:
        """An index that can be changed."""
        table = MemoryTable()
        for name, state in known.states:
            table.put_state(name, state)
        for name, run in known.runs:
            table.put_run(name, run)
        index = self.protocol.index(table)
        index.head, index.counts, _, index.complete, _ = Saved(known.chain.head, known.counts, complete=known.complete)
        index.offset = known.offset
        return index

    def freeze(self, chain: Chain, index: Index) -> int:
        """The number of a chain with its index."""
        names = sorted(index.table.ids("", len(IDS) + 1))
        return self.number_of(
            Known(
                chain,
                tuple((name, index.table.state(name)) for name in names),
                tuple((name, run) for name in names for run in index.table.runs(name, 1, 100)),
                index.counts,
                index.complete,
                index.offset,
            )
        )

    def take(self, known: int, chain: Chain, offset: int, record: int) -> int:
        """What is known behind a record that counts.

        Raises:
            StoredDataError: its items contradict what came before.
        """
        key = known, offset, record
        if (found := self._taken.get(key)) is not None:
            return found
        stored, index = self.records[record], self.thaw(self.known[known])
        if stored.envelope.prev_offset > index.offset:
            index.begin_at_cut()
        items = stored.items if self.protocol.takes_states or stored.envelope.kind is not Kind.DELETE else ()
        index.take(offset, items, f"log@{offset}")
        found = self._taken[key] = self.freeze(chain, index)
        return found

    def _step(self, known: int, offset: int, record: int, log_start: int) -> int:
        chain = self.known[known].chain
        key = (known, offset, record, log_start if chain.position < log_start else -1)
        found = self._steps.get(key)
        if found is None:
            try:
                behind = self.protocol.judge(chain, offset, self.records[record].envelope, log_start, f"log@{offset}")
                if behind.head.offset == offset:
                    found = self.take(known, behind, offset, record)
                else:
                    found = self.number_of(self.known[known]._replace(chain=behind))
            except PersistenceError as error:
                found = type(error)
            self._steps[key] = found
        if not isinstance(found, int):
            raise found("in the search")
        return found

    def read(self, known: int, log: Log, stop: int | None = None) -> int | Failure:
        """What a reader that knows `known` knows behind `stop` (None: the end)."""
        key = (known, log.number, -1 if stop is None else stop)
        found = self._readings.get(key)
        if found is None:
            found = self._readings[key] = self._read(known, log, log.end if stop is None else stop)
        return found

    def _read(self, known: int, log: Log, end: int) -> int | Failure:
        try:
            begin = self.known[known].chain.position
            check_range(self.known[known].chain, log.start, log.end, NAME)
            end = log.end if log.start > begin else end
            for offset in range(max(begin, log.start), end):
                known = self._step(known, offset, log.records[offset], log.start)
            found = self.known[known]
            check_complete(found.chain, NAME)
            if not found.complete:
                self.thaw(found).check_complete(NAME)
        except PersistenceError as error:
            return type(error)
        if found.chain.position < end:
            known = self.number_of(found._replace(chain=attrs.evolve(found.chain, position=end)))
        return known

    def restart(self, known: int, log: Log) -> int:
        """What a process begins with that has an index from before."""
        head = self.known[known].chain.head
        if head.offset < 0:
            return self.nothing
        looks = self.protocol.looks_at_head and log.start <= head.offset
        if looks and (
            head.offset >= log.end or _head_of(self.records[log.records[head.offset]].envelope, head) != head
        ):
            return self.nothing  # of another history: built anew
        chain = Chain(NAME, head, head.offset + 1, oldest=head.highest + 1, shared=True)
        return self.number_of(self.known[known]._replace(chain=chain))

    # --- the invariants about a log --------------------------------------------------------------------------------

    def _judge(self, number: int) -> None:
        log = self.logs[number]
        before = self._log_numbers.get((log.records[:-1], log.start, log.damaged))
        known, counted, indexes, begin = self.nothing, list[int](), list[int](), 0
        used: dict[str, tuple[int, int]] = {}
        if before is not None and log.records and isinstance(truth := self.logs[before].truth, int):
            known, begin = truth, log.end - 1
            counted, indexes = list(self.logs[before].counted), list(self.logs[before].indexes)
            used = {name: (highest, floor) for name, highest, floor in self.logs[before].used}
        result: int | Failure
        try:
            for offset in range(begin, log.end):
                known = self._step(known, offset, log.records[offset], 0)
                if self.known[known].chain.head.offset == offset:
                    counted.append(offset)
                    indexes.append(known)
                    self._add_up(used, self.records[log.records[offset]])
            result = known
        except PersistenceError as error:
            result = type(error)
            if not log.damaged:
                raise Violation(f"a reader of all records raises {result.__name__}") from None
        total = tuple((name, *used[name]) for name in sorted(used))
        log = self.logs[number] = attrs.evolve(
            log, counted=tuple(counted), indexes=tuple(indexes), used=total, truth=result
        )
        if isinstance(result, int) and self.known[result].visible[0] != total:
            raise Violation(f"the index has {self.known[result].visible[0]}, the records say {total}")
        if log.start:  # otherwise all of them fold the same records
            self.check_reading(log, self.read(self.nothing, log), "a reader from the log's start")
            for index in indexes:
                reading = self.read(self.restart(index, log), log)
                self.check_reading(log, reading, f"an index of offset {self.known[index].offset}")

    def _add_up(self, used: dict[str, tuple[int, int]], stored: Stored) -> None:
        """No number is used twice, and nothing goes back."""
        for item in stored.items:
            match item:
                case Run(name, _, first, last, _, False):
                    highest, floor = used.get(name, (0, 0))
                    if first <= highest:
                        raise Violation(f"{name} has event {first} behind event {highest}")
                    used[name] = last, floor
                case State(name, highest, floor):
                    before = used.get(name, (0, 0))
                    if highest != before[0] or floor < before[1]:
                        raise Violation(
                            f"{name} is deleted to {floor} of {highest}, and was to {before[1]} of {before[0]}"
                        )
                    used[name] = highest, floor
                case _:
                    pass  # what is carried was there before

    def check_reading(self, log: Log, reading: int | Failure, who: str) -> None:
        """A reader sees what there is, or raises for a reason."""
        if not isinstance(reading, int):
            if not log.damaged:
                raise Violation(f"{who} raises {reading.__name__} though nothing was damaged")
        elif isinstance(log.truth, int):
            found, truth = self.known[reading], self.known[log.truth]
            if found.chain.head != truth.chain.head:
                raise Violation(f"{who} arrives at {found.chain.head}, the truth is {truth.chain.head}")
            if found.visible != truth.visible:
                raise Violation(f"{who} sees {found.visible}, the truth is {truth.visible}")


def _head_of(envelope: Envelope, head: Head) -> Head:
    """What a record says of the head that it is, at the offset of another one."""
    state = envelope.state
    return Head(head.offset, envelope.author, envelope.writer, envelope.epoch, state.last, state.floor, state.published)


def run_of(persistence_id: str, writer: bytes, number: int) -> Run:
    """A write of one event."""
    return Run(persistence_id, writer, number, number, b"\x81\x00")


def state_of(persistence_id: str, state: IdState) -> State:
    """A deletion of all that is there."""
    return State(persistence_id, state.highest, state.highest)
