"""Logs and what readers make of them.

A `Log` keeps every record that was ever stored, also those that were cut off: judged without any cut they are *the
truth*. Whatever a reader starts with (nothing, a bookmark, what a process knows), it must arrive at the truth or
raise an error, and it may raise only where somebody else than the library damaged the log.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from kafka_persist._core.chain import Chain, Head
from kafka_persist._core.envelope import Envelope, Kind
from kafka_persist.errors import PersistenceError

from .rule import Rule

ID: Final = "id"
FOREIGN_CUT: Final = 1
TRUNCATED: Final = 2

Failure: TypeAlias = type[PersistenceError]


class Violation(Exception):  # noqa: N818 - what the search looks for, not a failure of the search
    """The rule breaks one of its promises."""


@attrs.frozen
class Reading:
    """What a reader knows after a stretch of a log.

    Attributes:
        chain: its number in `World.chains`.
        counted: the offsets of the records in the stretch that count.
    """

    chain: int
    counted: tuple[int, ...]


@attrs.frozen(eq=False)
class Log:
    """One log at one time.

    Attributes:
        number: in `World.logs`.
        records: numbers of all records from offset 0 on, cut off or not.
        start: the first offset that can still be read.
        damage: `FOREIGN_CUT`, `TRUNCATED` or both, once it happened.
        heads: the head behind each record that counts, judged without cuts, by offset.
        truth: the chain behind all records, judged without cuts; an error if that fails.
        fresh_failure: what a reader that knows nothing raises.
    """

    number: int
    records: tuple[int, ...]
    start: int
    damage: int
    heads: dict[int, Head]
    truth: Chain | Failure
    fresh_failure: Failure | None = None

    @property
    def end(self) -> int:
        """The offset of the next record."""
        return len(self.records)


class World:
    """All records, chains and logs met so far, each once."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.records: list[tuple[Envelope, object]] = []
        self.chains: list[Chain] = []
        self.logs: list[Log] = []
        self._record_numbers: dict[tuple[Envelope, object], int] = {}
        self._chain_numbers: dict[Chain, int] = {}
        self._log_numbers: dict[tuple[tuple[int, ...], int, int], int] = {}
        self._steps: dict[tuple[int, int, int, int], int | Failure] = {}
        self._readings: dict[tuple[int, int, int], Reading | Failure] = {}
        self.nothing = self.chain(Chain(ID))
        self.empty = self.log((), 0, 0)

    # --- numbers -------------------------------------------------------------------------------------------------

    def record(self, envelope: Envelope, key: object) -> int:
        """The number of a record; `key` tells equal envelopes of different submissions apart."""
        found = self._record_numbers.get((envelope, key))
        if found is None:
            found = self._record_numbers[envelope, key] = len(self.records)
            self.records.append((envelope, key))
        return found

    def chain(self, chain: Chain) -> int:
        """The number of a chain."""
        found = self._chain_numbers.get(chain)
        if found is None:
            found = self._chain_numbers[chain] = len(self.chains)
            self.chains.append(chain)
        return found

    def log(self, records: tuple[int, ...], start: int, damage: int) -> int:
        """The number of a log; checks it when it is new."""
        found = self._log_numbers.get((records, start, damage))
        if found is None:
            found = self._log_numbers[records, start, damage] = len(self.logs)
            self.logs.append(self._judged(Log(found, records, start, damage, {}, Chain(ID))))
            self._check(self.logs[found])
        return found

    # --- what can happen to a log ----------------------------------------------------------------------------------

    def append(self, log: Log, record: int) -> int:
        """The log with one more record."""
        return self.log((*log.records, record), log.start, log.damage)

    def cut(self, log: Log, start: int, damage: int = 0) -> int:
        """The log without what stands below `start`."""
        return self.log(log.records, max(start, log.start), log.damage | damage)

    def truncate(self, log: Log, end: int) -> int:
        """The log without what stands at `end` and above."""
        return self.log(log.records[:end], log.start, log.damage | TRUNCATED)

    # --- reading ---------------------------------------------------------------------------------------------------

    def read(self, known: int, log: Log, stop: int | None = None) -> Reading | Failure:
        """What a reader that knows `known` knows behind `stop` (None: the end), as `catch_up` reads."""
        key = (known, log.number, -1 if stop is None else stop)
        found = self._readings.get(key)
        if found is None:
            found = self._readings[key] = self._read(known, log, stop)
        return found

    def _read(self, known: int, log: Log, stop: int | None) -> Reading | Failure:
        end = log.end if stop is None else stop
        counted: list[int] = []
        try:
            self.rule.check_range(self.chains[known], log.start, log.end, "log")
            begin = self.chains[known].position
            if log.start > begin and not self.rule.stops_short:
                end = log.end
            known = self._fold(known, log, max(begin, log.start), end, counted)
            self.rule.check_complete(self.chains[known], "log")
        except PersistenceError as error:
            return type(error)
        chain = self.chains[known]
        if chain.position < end:
            known = self.chain(attrs.evolve(chain, position=end))
        return Reading(known, tuple(counted))

    def _fold(self, known: int, log: Log, begin: int, end: int, counted: list[int]) -> int:
        for offset in range(begin, end):
            known = self._step(known, offset, log.records[offset], log.start)
            if self.chains[known].head.offset == offset:
                counted.append(offset)
        return known

    def _step(self, known: int, offset: int, record: int, log_start: int) -> int:
        chain = self.chains[known]
        key = (known, offset, record, log_start if chain.position < log_start else -1)
        found = self._steps.get(key)
        if found is None:
            try:
                envelope = self.records[record][0]
                found = self.chain(self.rule.judge(chain, offset, envelope, log_start, f"log@{offset}"))
            except PersistenceError as error:
                found = type(error)
            self._steps[key] = found
        if not isinstance(found, int):
            raise found("in the search")
        return found

    # --- the invariants about a log ----------------------------------------------------------------------------------

    def _judged(self, log: Log) -> Log:
        """Judge all records without cuts."""
        known, heads = self.nothing, dict[int, Head]()
        try:
            for offset, record in enumerate(log.records):
                known = self._step(known, offset, record, 0)
                head = self.chains[known].head
                if head.offset == offset:
                    heads[offset] = head
        except PersistenceError as error:
            return attrs.evolve(log, heads=heads, truth=type(error))
        return attrs.evolve(log, heads=heads, truth=self.chains[known])

    def _check(self, log: Log) -> None:
        truth = log.truth
        if not isinstance(truth, Chain) and not log.damage & TRUNCATED:
            raise Violation(f"a reader of all records raises {truth.__name__}")
        self._check_numbers(log)
        reading = self.read(self.nothing, log)
        if not isinstance(reading, Reading):
            self.logs[log.number] = attrs.evolve(log, fresh_failure=reading)
        self.check_reading(log, reading, -1, "a reader from the log's start")
        if not log.start and not log.damage:
            return  # then a reader from a bookmark judges as the one from the start does
        for offset, head in log.heads.items():
            bookmark = self.chain(Chain(ID, head, offset + 1, oldest=head.highest + 1))
            self.check_reading(log, self.read(bookmark, log), offset, f"a reader from a bookmark at {offset}")

    def _check_numbers(self, log: Log) -> None:
        """I2, I3, I9: the numbers of the events that count have no gap and no repetition; nothing ever goes back."""
        highest, before = 0, Head()
        for offset, head in log.heads.items():
            if head.floor > head.highest or (head.floor, head.epoch, head.highest) < (before.floor, before.epoch, 0):
                raise Violation(f"{head} follows {before}")
            before = head
            envelope = self.records[log.records[offset]][0]
            if envelope.kind is Kind.EVENTS:
                state = envelope.state
                if state.first != highest + 1:
                    raise Violation(f"event {state.first} follows event {highest}")
                highest = state.last

    def check_reading(self, log: Log, reading: Reading | Failure, behind: int, who: str) -> None:
        """I1, I5: a reader arrives at the truth, with every event that is not deleted, or raises for a reason."""
        if not isinstance(reading, Reading):
            if not log.damage:
                raise Violation(f"{who} raises {reading.__name__} though nothing was damaged")
            return
        chain = self.chains[reading.chain]
        if not isinstance(log.truth, Chain):
            return  # what proves the damage was cut off, or stands behind this reader
        if chain.head != log.truth.head:
            raise Violation(f"{who} arrives at {chain.head}, the truth is {log.truth.head}")
        begin = max(behind + 1, log.start)
        if reading.counted != tuple(offset for offset in log.heads if offset >= begin):
            raise Violation(f"{who} counts {reading.counted} of {tuple(log.heads)}")
        self._check_missing(log, chain, behind, who)

    def _check_missing(self, log: Log, chain: Chain, behind: int, who: str) -> None:
        for offset in log.heads:
            if behind < offset < log.start:
                envelope = self.records[log.records[offset]][0]
                state = envelope.state
                if envelope.kind is Kind.EVENTS and state.last > chain.head.floor and state.last > chain.lost_to:
                    raise Violation(f"{who} misses event {state.last} and does not know it")
