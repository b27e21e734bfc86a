"""Why a record does not count, in words: for people who look at a log. What counts is decided in `chain` alone."""

from __future__ import annotations

from uuid import UUID

from .chain import Head
from .envelope import Envelope, Kind


def why_skipped(head: Head, envelope: Envelope) -> str:
    """Say why a record that `chain.judge` skipped does not count.

    Args:
        head: the last record that counts before it.
        envelope: the record.
    """
    state = envelope.state
    if envelope.kind is Kind.CLAIM:
        return f"a claim by writer {UUID(bytes=envelope.writer)} that lost against the record at offset {head.offset}"
    what = (
        f"events {state.first} to {state.last}" if envelope.kind is Kind.EVENTS else f"a deletion up to {state.floor}"
    )
    if envelope.epoch < head.epoch:
        return (
            f"{what} of writer {UUID(bytes=envelope.writer)} (epoch {envelope.epoch}), behind the claim of epoch {head.epoch} "
            "that fenced it"
        )
    if envelope.kind is Kind.EVENTS and state.last <= head.highest:
        return f"{what}, which are stored already: the record was sent twice"
    return (
        f"{what}, extending offset {envelope.prev_offset}, which the record at offset {head.offset} had extended first"
    )
