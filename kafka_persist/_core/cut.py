"""Deletions: how far a log may be cut, and what is known of a record behind which it was cut.

The rule itself is in `kafka_persist._core.chain`: the log is cut **to** a counted record that another one extends.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from ..errors import WriteOutcomeUnknown
from .chain import Head
from .envelope import Envelope, Kind


@attrs.frozen
class Cut:
    """How far the log itself may be cut for a deletion.

    Attributes:
        floor: the floor to record.
        offset: the first record to keep; None: the delete record itself, once another record extends it.
    """

    floor: int
    offset: int | None


def plan_cut(to_sequence_nr: int, highest: int, counted: Iterable[tuple[int, Envelope]], lost_to: int = 0) -> Cut:
    """Decide what a deletion up to `to_sequence_nr` removes.

    Numbers between the last deleted event and the first one kept were never stored (rejected writes): the floor
    covers them too, so that a reader of the cut log misses nothing. But numbers that were lost stay missing: a deletion
    does not make good that retention removed others.

    Args:
        to_sequence_nr: what was asked for.
        highest: the id's highest sequence number.
        counted: the offsets and records that count, ascending.
        lost_to: `Chain.lost_to` of the log that holds them.
    """
    if to_sequence_nr >= highest:
        return Cut(highest, None)
    for offset, envelope in counted:
        state = envelope.state
        if envelope.kind is Kind.EVENTS and state.last > to_sequence_nr:
            return Cut(to_sequence_nr if to_sequence_nr < lost_to else max(to_sequence_nr, state.first - 1), offset)
    return Cut(to_sequence_nr, None)


def survived_cut(head: Head, sent: Envelope) -> bool:
    """Whether a record of one's own counted, judged only by the state of a log whose start was cut behind it.

    In one epoch only one writer writes, one record at a time: if the numbers of `sent` are used, `sent` used them.

    Raises:
        WriteOutcomeUnknown: another writer has taken over since, so the state does not tell.
    """
    if head.epoch != sent.epoch:
        raise WriteOutcomeUnknown(
            "the log was cut behind a record before its outcome was known, and another writer took over since. Open "
            "the entity again, which decides it"
        )
    match sent.kind:
        case Kind.CLAIM:
            return head.writer == sent.writer
        case Kind.EVENTS:
            return head.highest >= sent.state.last
        case Kind.DELETE:
            return head.floor >= sent.state.floor
