"""The chain: which records of a log count. One live writer per id, on a log without conditional append.

Theory of operation
===================

Each record names the record that it extends, by that record's offset and author. **A record counts iff it extends the
head at its place in the log**; it then is the new head. Every reader folds the same records with the same rule, so of
two competing writers the log's order picks one, for everybody, forever. Records that do not count are invisible.

A writer knows the head, appends one record that extends it, and looks at the offset that the broker reports:

* It is the one behind the head: nothing came between, the record counts.
* It is larger: something came between. The writer reads what stands behind the head and judges it like any reader.
* It is smaller: the log lost records (`Verdict.TRUNCATED`).

A *claim* hands the id to a new writer: records that the old writer sent extend an older head, so wherever they land
behind the claim they do not count. That also decides every write whose outcome was unknown: once, for everybody. A
record that the client library sends twice extends, the second time, a head that is no longer the head.

A *delete* raises the floor (events at or below it are gone) and may be written by anyone; it keeps the writer. The
log's start may then be cut **to** a counted record that another one extends, never past it. Each record carries the
id's cumulative state, so the first record left is a sufficient base for all that follow (`_rebase`).

A record's numbers begin right behind those of the record that it extends. So no record can vanish between two others
unseen, not even where damage to a batch header makes the client skip some: offset and author of the one extended may
then be right by chance, but not its numbers, epoch and floor too.

Two inferences, both from "a writer only ever extends records that count":

* *The base is believed iff a later record extends it* (`Chain.unconfirmed`). After a cut of ours one always does. After
  a foreign one (retention) the first record left may be one that never counted, the only survivor of a writer that was
  refused: nothing extends it, or something extends what was cut off just before it. That is `JournalHeadLost`, never
  guessed away.
* *A record that extends something else than what stands there* (`_check_history`), or follows another claim than the
  one that counts, or numbers that nobody here has used, was written on another history of this log: the broker lost
  records that this reader, or that record's writer, had seen. That is `JournalTruncated`.
"""

from __future__ import annotations

import enum
from typing import Final

import attrs

from ..errors import CorruptRecord, ForeignEvent, JournalHeadLost, JournalTruncated, printable
from .envelope import Envelope, IdState, Kind

NIL: Final = bytes(16)
"""The author of "nothing": what the first record of a log extends."""


@attrs.frozen
class Head:
    """The last record that counts, with the id's cumulative state.

    Attributes:
        offset: its place in the log; -1 before the first record.
        author: who appended it (16 bytes).
        writer: who may write events from here on.
        epoch: how many claims have counted.
        highest: the highest sequence number that was used.
        floor: events at or below it are deleted.
        published: events up to it are known to be in their user-defined topics.
        commands: of a log that several ids share: the commands below this offset of its partition of the command topic
            have taken effect, or were refused for good. It never falls.
    """

    offset: int = -1
    author: bytes = NIL
    writer: bytes = NIL
    epoch: int = 0
    highest: int = 0
    floor: int = 0
    published: int = 0
    commands: int = 0


@attrs.frozen
class Base:
    """The first record of a log whose older part was cut off; believed unless contradicted."""

    offset: int
    prev_offset: int


@attrs.frozen
class Chain:
    """What a reader knows about one id after judging the log up to `position`.

    Attributes:
        persistence_id: whose log it is.
        head: the last record that counts.
        position: the next offset to judge.
        oldest: the lowest sequence number whose event can still be in the log; 1 if nothing was cut.
        base: set if the log's start was cut.
        shared: several ids share the log. `persistence_id` is then the log's own name, and the numbers count its entries.
    """

    persistence_id: str
    head: Head = Head()
    position: int = 0
    oldest: int = 1
    base: Base | None = None
    shared: bool = False

    @property
    def unconfirmed(self) -> bool:
        """Nothing has extended the first record of the cut log yet, so it is not known to count."""
        return self.base is not None and self.base.offset == self.head.offset

    @property
    def behind_head(self) -> Chain:
        """The same, with all that stands behind the head to be judged again."""
        return Chain(self.persistence_id, self.head, self.head.offset + 1, self.oldest, self.base, self.shared)

    @property
    def lost_to(self) -> int:
        """Events above the floor up to this number are missing though nobody deleted them; 0 for none."""
        return self.oldest - 1 if self.oldest - 1 > self.head.floor else 0


class Verdict(enum.Enum):
    """What a writer learns from the offset of its delivery report."""

    COUNTS = "counts"
    GAP = "gap"
    TRUNCATED = "truncated"


def verdict(chain: Chain, offset: int | None) -> Verdict:
    """Judge a delivery report: `offset` is where the broker says that the record stands (None: it does not say).

    Records behind the head that did not count are read again: the broker may have lost them, and others be there now.
    """
    if offset is not None and offset < chain.position:
        return Verdict.TRUNCATED
    return Verdict.COUNTS if offset == chain.head.offset + 1 else Verdict.GAP


# --- reading -----------------------------------------------------------------------------------------------------


def judge(chain: Chain, offset: int, envelope: Envelope, log_start: int, where: str) -> Chain:
    """Take the record at `offset` into account and return the chain behind it.

    The record counts iff the returned chain's ``head.offset`` is `offset`.

    Args:
        chain: the state before.
        offset: the record's offset, at or above ``chain.position``.
        envelope: the decoded record.
        log_start: the first offset that the log still holds.
        where: names the record in error messages ("topic[0]@17").

    Raises:
        ForeignEvent: the record belongs to another id.
        CorruptRecord: it extends the head but contradicts its state.
        JournalHeadLost: the log's start was cut in a way that leaves no certain head.
    """
    state = _own_state(chain, envelope, where)
    if chain.position < log_start:
        return _rebase(chain, offset, envelope, state, log_start, where)
    if (envelope.prev_offset, envelope.prev_author) != (chain.head.offset, chain.head.author):
        _check_base(chain, envelope, where)
        _check_history(chain, envelope, state, where)
        return Chain(chain.persistence_id, chain.head, offset + 1, chain.oldest, chain.base, chain.shared)
    _check_step(chain.head, envelope, state, where)
    return _with_head(chain, offset, envelope, state)


def check_range(chain: Chain, start: int, end: int, where: str) -> None:
    """Compare what is known with the bounds of the log.

    Raises:
        JournalTruncated: the log ends before a place that this process has already seen.
        JournalHeadLost: the log was cut and is empty, so that its state is unknown.
    """
    if end < chain.position:
        raise JournalTruncated(
            f"{where} ends at offset {end}, but records up to offset {chain.position - 1} were seen before: the broker "
            f"lost acknowledged records of {printable(chain.persistence_id)} (unclean leader election, a deleted and "
            "recreated topic, or lost disk pages). Stop writing to it, and compare the brokers' replicas"
        )
    if start == end and start > chain.position:
        raise JournalHeadLost(
            f"{where} is empty but starts at offset {start}: retention or a foreign deletion removed all records of "
            f"{printable(chain.persistence_id)}, its highest sequence number included. Restore the topic from a copy"
        )


def check_complete(chain: Chain, where: str) -> None:
    """Refuse what was read to the end of a log if nothing confirms its first record.

    Raises:
        JournalHeadLost: the log's start was cut, and no record extends the first one that is left.
    """
    if chain.unconfirmed:
        raise JournalHeadLost(
            f"{where} was cut to offset {chain.head.offset} by retention or a foreign deletion, and no later record of "
            f"{printable(chain.persistence_id)} confirms that the one there ever counted: its state is unknown. Recovery "
            "is possible from a snapshot with a bookmark of that record; otherwise restore the topic from a copy"
        )


def _own_state(chain: Chain, envelope: Envelope, where: str) -> IdState:
    state = envelope.state
    if envelope.shared is not chain.shared:
        kinds = ("an id's own log", "a log that several ids share")
        raise ForeignEvent(
            f"{where} belongs to {kinds[envelope.shared]} ({printable(state.persistence_id, 40)}), but was read as "
            f"{kinds[chain.shared]}: the configured layout is not the one that this topic was written with"
        )
    if state.persistence_id == chain.persistence_id:
        return state
    raise ForeignEvent(
        f"{where} belongs to {printable(state.persistence_id, 40)}, not to {printable(chain.persistence_id)}: two ids "
        "share this topic or somebody else writes to it. Give each id a topic of its own"
    )


def _with_head(chain: Chain, offset: int, envelope: Envelope, state: IdState) -> Chain:
    head = _head_of(offset, envelope, state)
    # attrs.evolve() would cost twice as much
    return Chain(chain.persistence_id, head, offset + 1, chain.oldest, chain.base, chain.shared)


def _head_of(offset: int, envelope: Envelope, state: IdState) -> Head:
    author, writer, epoch = envelope.author, envelope.writer, envelope.epoch
    return Head(offset, author, writer, epoch, state.last, state.floor, state.published, state.commands)


def _rebase(chain: Chain, offset: int, envelope: Envelope, state: IdState, log_start: int, where: str) -> Chain:
    """Begin anew at the start of a log that was cut, with the cumulative state of its first record."""
    if offset != log_start:
        raise JournalHeadLost(
            f"{where}: the log starts at offset {log_start}, where no record stands, so the state before it is unknown"
        )
    head = chain.head
    if state.last < head.highest or envelope.epoch < head.epoch or state.commands < head.commands:
        raise JournalTruncated(
            f"{where} has highest sequence number {state.last} in epoch {envelope.epoch}, but {chain.head.highest} in "
            f"epoch {chain.head.epoch} was seen before: the broker lost acknowledged records"
        )
    if envelope.prev_offset < chain.head.offset:
        raise JournalHeadLost(
            f"{where} is the first record left, but extends offset {envelope.prev_offset} though offset "
            f"{chain.head.offset} was the head before it: it never counted, and the state behind it is unknown. "
            "Retention or a foreign deletion cut the log; restore the topic from a copy"
        )
    oldest = state.first if envelope.kind is Kind.EVENTS else state.last + 1
    base = Base(offset, envelope.prev_offset)
    return Chain(chain.persistence_id, _head_of(offset, envelope, state), offset + 1, oldest, base, chain.shared)


def _check_base(chain: Chain, envelope: Envelope, where: str) -> None:
    base = chain.base
    if base is not None and base.prev_offset < envelope.prev_offset < base.offset:
        raise JournalHeadLost(
            f"{where} extends offset {envelope.prev_offset}, which was cut off: so the first record left (offset "
            f"{base.offset}) never counted and the state before it is unknown. Retention or a foreign deletion cut the "
            "log; restore the topic from a copy"
        )


def _check_history(chain: Chain, envelope: Envelope, state: IdState, where: str) -> None:
    """Refuse a record that does not count here and cannot have been written on any earlier state of this log either."""
    head, (prev_offset, prev_author) = chain.head, (envelope.prev_offset, envelope.prev_author)
    other_record = prev_offset > head.offset or (prev_offset == head.offset and prev_author != head.author)
    other_claim = envelope.kind is not Kind.CLAIM and (
        envelope.epoch > head.epoch or (envelope.epoch == head.epoch and envelope.writer != head.writer)
    )
    if other_record or other_claim or _is_ahead(head, envelope, state):
        raise JournalTruncated(
            f"{where} extends a record at offset {prev_offset} that is not the one which counts there: it was written "
            f"on another history of this log, so the broker lost acknowledged records of "
            f"{printable(chain.persistence_id)} (unclean leader election, a deleted and recreated topic, or lost disk "
            "pages). Stop writing to it, and compare the brokers' replicas"
        )


def _is_ahead(head: Head, envelope: Envelope, state: IdState) -> bool:
    """Whether what a record extends has used more numbers, claims or deletions than the head: they only ever grow."""
    match envelope.kind:
        case Kind.CLAIM:
            numbers = state.last > head.highest or state.floor > head.floor or state.commands > head.commands
            return numbers or envelope.epoch - 1 > head.epoch
        case Kind.EVENTS:
            return state.first - 1 > head.highest or state.floor > head.floor
        case Kind.DELETE:
            return state.last > head.highest


def _check_step(head: Head, envelope: Envelope, state: IdState, where: str) -> None:
    """Refuse a record that extends the head without following from it (a bug or a forgery)."""
    match envelope.kind:
        case Kind.CLAIM:
            legal = (
                envelope.author == envelope.writer
                and envelope.epoch == head.epoch + 1
                and state.last == head.highest
                and state.floor == head.floor
                and state.commands == head.commands
            )
        case Kind.EVENTS:
            legal = (
                envelope.author == envelope.writer == head.writer
                and envelope.epoch == head.epoch
                and head.highest + 1 == state.first <= state.last
                and state.floor == head.floor
            )
        case Kind.DELETE:
            legal = (
                envelope.writer == head.writer
                and envelope.epoch == head.epoch
                and state.last == head.highest
                and head.floor <= state.floor <= head.highest
            )
    if not legal or not head.published <= state.published <= state.last or state.commands < head.commands:
        raise CorruptRecord(
            f"{where} extends offset {head.offset} but contradicts it (kind {envelope.kind.name}, epoch "
            f"{envelope.epoch} after {head.epoch}, numbers {state.first}-{state.last} after {head.highest}, floor "
            f"{state.floor} after {head.floor}, commands {state.commands} after {head.commands}): somebody else writes to this topic"
        )


# --- writing -----------------------------------------------------------------------------------------------------


def claim_envelope(chain: Chain, writer: bytes, published: int = 0, claimant: bytes = b"") -> Envelope:
    """The record by which `writer` takes the id over; `claimant` says who that is (`kafka_persist._core.claimant`)."""
    head = chain.head
    state = IdState(
        chain.persistence_id, 0, head.highest, head.floor, _mark(head, published, head.highest), head.commands
    )
    return _extend(chain, Kind.CLAIM, author=writer, writer=writer, epoch=head.epoch + 1, state=state, entries=claimant)


def events_envelope(chain: Chain, last: int, entries: bytes, published: int = 0, commands: int = 0) -> Envelope:
    """The record with the events up to `last` of the head's writer, which stand for the commands below `commands`.

    Its numbers begin where the head's end, also where some of them belong to rejected writes.
    """
    head = chain.head
    done = max(head.commands, commands)
    state = IdState(chain.persistence_id, head.highest + 1, last, head.floor, _mark(head, published, last), done)
    return _extend(
        chain, Kind.EVENTS, author=head.writer, writer=head.writer, epoch=head.epoch, state=state, entries=entries
    )


def delete_envelope(chain: Chain, author: bytes, floor: int, published: int = 0, commands: int = 0) -> Envelope:
    """The record that raises the floor to `floor`, clamped to the highest sequence number.

    With the floor as it is it only says what else has become known: how far events are published, and commands done.
    """
    head = chain.head
    floor = max(head.floor, min(floor, head.highest))
    done = max(head.commands, commands)
    state = IdState(chain.persistence_id, 0, head.highest, floor, _mark(head, published, head.highest), done)
    return _extend(chain, Kind.DELETE, author=author, writer=head.writer, epoch=head.epoch, state=state)


def _mark(head: Head, published: int, last: int) -> int:
    """Up to where events are known to be published: it never falls."""
    return max(head.published, min(published, last))


def _extend(
    chain: Chain, kind: Kind, *, author: bytes, writer: bytes, epoch: int, state: IdState, entries: bytes = b""
) -> Envelope:
    head = chain.head
    return Envelope(kind, author, writer, epoch, head.offset, head.author, state, entries, chain.shared)


def advance(chain: Chain, offset: int, envelope: Envelope) -> Chain:
    """The chain behind a record of one's own that is known to count at `offset`."""
    return _with_head(chain, offset, envelope, envelope.state)
