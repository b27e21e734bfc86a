"""Walking a journal's logs from their start, to report what counts, what does not and why, and what is wrong.

Nothing is judged here: `reading.catch_up` reads and judges as for every reader, and this notes what comes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from .._core.chain import Chain, Head
from .._core.entries import make_events, read_entries
from .._core.envelope import Kind, decode_envelope
from .._core.skipping import why_skipped
from ..driver import Driver, Log, Record
from ..errors import PersistenceError, StoredDataError
from ..serialization import Serializer
from .reading import Counted, catch_up

MAX_NOTED: Final = 1000
"""Of what may be there once for each record, so much is noted one by one; the rest is counted."""


@attrs.frozen
class Problem:
    """Something that is wrong.

    Attributes:
        error: the name of the error that a reader gets.
        message: its text.
        offset: the record; None if it is about no single one.
    """

    error: str
    message: str
    offset: int | None = None

    @classmethod
    def of(cls, error: PersistenceError, offset: int | None = None) -> Problem:
        """Make one of an error."""
        return cls(type(error).__name__, str(error), error.offset if offset is None else offset)


@attrs.frozen
class Skipped:
    """A record that does not count, and why."""

    offset: int
    why: str


@attrs.define(eq=False)
class LogReport:
    """What was found in one log.

    Attributes:
        log: where.
        owner: whose: a persistence id, or the name of a log that many ids share.
        records: how many records were judged.
        counted: how many of them count.
        claims: how many of those are claims.
        skipped: records that do not count; that is normal where writers took the log from each other.
        problems: what is wrong.
        head: the last record that counts; None if reading did not get to the end.
        lost_to: events up to this number are missing though nobody deleted them.
    """

    log: Log
    owner: str
    records: int = 0
    counted: int = 0
    claims: int = 0
    skipped: list[Skipped] = attrs.field(factory=list)
    problems: list[Problem] = attrs.field(factory=list)
    head: Head | None = None
    lost_to: int = 0

    def note_counted(self, counted: Counted) -> None:
        """Note a record that counts."""
        self.records += 1
        self.counted += 1
        self.claims += counted.envelope is not None and counted.envelope.kind is Kind.CLAIM

    def note_skipped(self, record: Record, head: Head) -> None:
        """Note a record that does not count."""
        self.records += 1
        if len(self.skipped) < MAX_NOTED:
            envelope = decode_envelope(record.value, f"{self.log}@{record.offset}")
            self.skipped.append(Skipped(record.offset, why_skipped(head, envelope)))


@attrs.define(eq=False)
class IdReport:
    """What was found of one id.

    Attributes:
        persistence_id: the id.
        events: how many events there are, deleted ones that are still in the log included.
        highest: the highest sequence number.
        floor: events up to it are deleted.
        lost_to: events up to it are missing though nobody deleted them.
        problems: what is wrong.
    """

    persistence_id: str
    events: int = 0
    highest: int = 0
    floor: int = 0
    lost_to: int = 0
    problems: list[Problem] = attrs.field(factory=list)
    _numbers: list[list[int]] = attrs.field(factory=list, repr=False)

    @property
    def holes(self) -> Sequence[tuple[int, int]]:
        """Numbers above the floor that no event has: rejected writes leave them, first and last of each."""
        found, expected = [], max(self.floor, self.lost_to) + 1
        for first, last in self._numbers:
            if first > expected:
                found.append((expected, first - 1))
            expected = max(expected, last + 1)
        if expected <= self.highest:
            found.append((expected, self.highest))
        return found

    def take(self, entries: bytes, start: int, of: tuple[int, int, bytes], serializer: Serializer, where: str) -> None:
        """Decode the events of one record.

        Args:
            entries: holds them, from `start` on.
            start: where they begin.
            of: first and last number, and the writer.
            serializer: decodes the payloads.
            where: names the record in messages.
        """
        first, last, writer = of
        self.highest = max(self.highest, last)
        try:
            numbered = (self.persistence_id, first, last, writer)
            for event in make_events(read_entries(entries, start, where), numbered, serializer, where):
                self._note(event.sequence_nr)
        except StoredDataError as error:
            self.problems.append(Problem.of(error, int(where.rpartition("@")[2])))
            self._note(first, last)  # damaged, but not a hole

    def _note(self, first: int, last: int = 0) -> None:
        last = last or first
        self.events += 1
        if self._numbers and self._numbers[-1][1] == first - 1:
            self._numbers[-1][1] = last
        else:
            self._numbers.append([first, last])


async def walk(driver: Driver, log: Log, chain: Chain, take: Callable[[Counted], Any]) -> LogReport:
    """Read a log from its start, and note what is in it.

    Args:
        driver: access to it.
        log: where.
        chain: whose, with nothing judged yet.
        take: is told of each record that counts.

    Raises:
        TopicMissing: there is no such log.
        BrokerError: there was no answer.
    """
    report = LogReport(log, chain.persistence_id)

    def counted(each: Counted) -> None:
        report.note_counted(each)
        take(each)

    try:
        judged = await catch_up(driver, log, chain, on_counted=counted, on_skipped=report.note_skipped)
    except StoredDataError as error:
        report.problems.append(Problem.of(error))
        return report
    report.head, report.lost_to = judged.head, judged.lost_to
    if judged.lost_to:
        report.problems.append(
            Problem(
                "JournalHeadLost",
                f"{log}: events {judged.head.floor + 1} to {judged.lost_to} are no longer in the log though nobody deleted them "
                "(retention, or a foreign deletion)",
            )
        )
    return report
