"""Judging stretches of a log: from raw records to the records that count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias

import attrs

from .._core.chain import Chain, Head, check_complete, check_range
from .._core.envelope import Envelope, decode_envelope
from .._core.follower import Follower
from ..driver import Driver, Log, LogRange, OffsetGone, Record, Scan
from ..errors import CorruptRecord, JournalHeadLost, JournalTruncated, PersistenceError, StoredDataError

CUTS_WHILE_READING: Final = 20
"""How often a reading begins anew because deletions cut the log under it."""


class Counted(NamedTuple):
    """A record that counts.

    Attributes:
        offset: its place in the log.
        first: number of the first event in it; 0 if it has none.
        last: the highest number.
        value: the record.
        start: where its entries begin.
        writer: who may write events from here on.
        key: the record's.
        envelope: the decoded record, where it had to be decoded (always, if it has no events).
    """

    offset: int
    first: int
    last: int
    value: bytes
    start: int
    writer: bytes
    key: bytes | None
    envelope: Envelope | None = None

    def decoded(self, log: Log) -> Envelope:
        """The decoded record."""
        return self.envelope or decode_envelope(self.value, f"{log}@{self.offset}")


def judged(follower: Follower, log: Log, records: Iterable[Record], log_start: int) -> Iterator[Counted]:
    """Feed `records` to `follower`; yield those that count.

    Raises:
        StoredDataError: see `kafka_persist._core.chain.judge` and `decode_envelope`.
    """
    start = follower.entries_at
    for offset, key, value in records:
        if offset != follower.position:
            if offset < follower.position:
                continue
            if follower.position >= log_start:
                check_no_hole(follower.position, offset, log)
        if value is not None and follower.position >= log_start and (numbers := follower.follow(offset, value)):
            yield Counted(offset, *numbers, value, start, follower.writer, key)
            continue
        where = f"{log}@{offset}"
        try:
            envelope = decode_envelope(value, where)
            counts = follower.take(offset, envelope, log_start, where)
        except StoredDataError as error:
            error.about(follower.persistence_id, log.topic, offset)
            raise
        if counts:
            assert value is not None  # else it could not be decoded
            state = envelope.state
            yield Counted(offset, state.first, state.last, value, start, envelope.writer, key, envelope)


def check_no_hole(position: int, offset: int, log: Log) -> None:
    """Refuse to go on behind offsets that gave no record: nothing tells a marker from records that the client skipped.

    Raises:
        CorruptRecord: there is a hole.
    """
    if offset > position:
        raise CorruptRecord(
            f"{log}@{position}: the offsets up to {offset - 1} hold no record. Either the header of a batch is damaged, and "
            "records are missing (restore the partition from a healthy replica), or a transaction of another program "
            "touched this topic"
        ).about(topic=log.topic, offset=position)


@attrs.define
class Recent:
    """The events read by the last refresh, so that a recovery need not read them twice.

    Attributes:
        above: events with numbers above it are complete here.
        limit: bytes of the entries to keep at most; more, and nothing is kept.
        records: what counts, ascending.
    """

    above: int
    limit: int
    records: list[Counted] = attrs.field(factory=list)
    size: int = 0
    overflow: bool = False

    def add(self, counted: Counted) -> None:
        """Keep a record with events, within the limit."""
        if self.overflow or not counted.first:
            return
        self.size += len(counted.value) - counted.start
        if self.size > self.limit:
            self.overflow = True
            self.records.clear()
        else:
            self.records.append(counted)


_Told: TypeAlias = tuple[Callable[[Counted], None] | None, Callable[[Record, Head], None] | None]
"""Who is told of records that count, and of those that do not."""


async def catch_up(
    driver: Driver,
    log: Log,
    chain: Chain,
    *,
    stop: int | None = None,
    on_counted: Callable[[Counted], None] | None = None,
    on_skipped: Callable[[Record, Head], None] | None = None,
    on_batch: Callable[[Follower], None] | None = None,
) -> Chain:
    """Judge everything from ``chain.position`` to `stop` (None: the log's end as it is now).

    `on_counted` is told of each record that counts, `on_skipped` of each that does not, with the head before it;
    `on_batch` of how far judging has come, after each batch but the first.

    Where the log was cut beyond that position, everything that is left is judged: the first record left may stand
    behind `stop`, and so may what confirms it. A deletion by another process may also cut the log while it is read.

    Raises:
        StoredDataError: the log is damaged, cut or truncated.
        TopicMissing: the topic does not exist.
        RecoveryStalled, BrokerError: the broker did not answer.
    """
    follower = Follower(chain)
    failed_at: LogRange | None = None
    try:
        for attempt in range(CUTS_WHILE_READING):
            try:
                await _read_on(driver, log, follower, stop, (on_counted, on_skipped), on_batch)
                check_complete(follower.chain, str(log))
                break
            except JournalHeadLost as error:
                if attempt + 1 == CUTS_WHILE_READING:
                    raise
                # Start and end of the log are two questions. A deletion between them shows a log that begins where it
                # ends, or one whose first record nothing confirms. It is lost if a log that stands still says so, too.
                if not isinstance(error, OffsetGone):
                    before, failed_at = failed_at, await _bounds(driver, log)  # noqa: ASYNC120 - the exception is only a reason to look
                    if failed_at is not None and failed_at == before:
                        raise
    except PersistenceError as error:
        error.about(chain.persistence_id, log.topic, follower.position)
        raise
    return follower.chain


async def _read_on(
    driver: Driver,
    log: Log,
    follower: Follower,
    stop: int | None,
    told: _Told,
    on_batch: Callable[[Follower], None] | None,
) -> None:
    scan = await driver.scan(log, follower.position or None, stop)
    bounds = scan.range
    end = bounds.end if stop is None else max(stop, bounds.end) if bounds.start > follower.position else stop
    check_range(follower.chain, bounds.start, bounds.end, str(log))
    _fold(follower, log, scan.records, bounds.start, told)
    if scan.next_offset < min(end, bounds.end):  # else the scan has all, or all of a log that is too short
        async with driver.open_reader(log, scan.next_offset) as reader:
            while records := await reader.read(end):
                _fold(follower, log, records, bounds.start, told)
                if on_batch is not None:
                    on_batch(follower)
    if bounds.start < end:
        if follower.position < end and stop is not None:
            await _check_end(driver, log, follower.chain, end)
        check_no_hole(follower.position, end, log)
    follower.position = max(follower.position, end)


async def _bounds(driver: Driver, log: Log) -> LogRange | None:
    """The log's bounds as of now; None if they are just changing."""
    try:
        return (await driver.scan(log, None, 0)).range
    except OffsetGone:
        return None


async def _check_end(driver: Driver, log: Log, chain: Chain, end: int) -> None:
    """Tell a log that ends below `end`, where a record is known to be, from one with a hole.

    Raises:
        JournalTruncated: it ends below.
    """
    bounds = (await driver.scan(log, end, end)).range
    check_range(attrs.evolve(chain, position=end), bounds.start, bounds.end, str(log))


def _fold(follower: Follower, log: Log, records: Iterable[Record], log_start: int, told: _Told) -> None:
    on_counted, on_skipped = told
    if on_skipped is not None:
        _fold_one_by_one(follower, log, records, log_start, on_counted, on_skipped)
        return
    for counted in judged(follower, log, records, log_start):
        if on_counted is not None:
            on_counted(counted)


def _fold_one_by_one(
    follower: Follower,
    log: Log,
    records: Iterable[Record],
    log_start: int,
    on_counted: Callable[[Counted], None] | None,
    on_skipped: Callable[[Record, Head], None],
) -> None:
    """As `_fold`, slower: what does not count is told, too."""
    for record in records:
        is_new = record.offset >= follower.position
        counted = list(judged(follower, log, (record,), log_start))
        for each in counted:
            if on_counted is not None:
                on_counted(each)
        if is_new and not counted:
            on_skipped(record, follower.chain.head)


def check_bookmark(head: Head, scan: Scan, where: str) -> None:
    """Compare the head that a snapshot remembers with what stands at its place in the log.

    Raises:
        JournalTruncated: the log ends before it, or another record stands there.
    """
    for record in scan.records:
        if record.offset == head.offset:
            envelope = decode_envelope(record.value, f"{where}@{record.offset}")
            state = envelope.state
            found = (envelope.author, envelope.writer, envelope.epoch, state.last, state.floor)
            if found == (head.author, head.writer, head.epoch, head.highest, head.floor):
                return
    raise JournalTruncated(
        f"{where} does not hold, at offset {head.offset}, the record that a snapshot was taken behind (highest "
        f"sequence number {head.highest}): the broker lost acknowledged records, or the topic was recreated"
    )
