"""`Follower` is `judge` without an object per record: same records counted, same state, same errors."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kafka_persist import StoredDataError
from kafka_persist._core import chain as rule
from kafka_persist._core.chain import Chain
from kafka_persist._core.envelope import Envelope
from kafka_persist._core.follower import Follower

WRITERS = [bytes([number]) * 16 for number in (1, 2)]


def step(kind: str, chain: Chain, writer: bytes) -> Envelope:
    if kind == "claim":
        return rule.claim_envelope(chain, writer)
    if kind == "delete":
        return rule.delete_envelope(chain, writer, chain.head.highest - 1)
    return rule.events_envelope(chain, chain.head.highest + 2, b"\x80")


@st.composite
def logs(draw: st.DrawFn) -> list[Envelope]:
    """Records that extend the head, an older head, or nothing that ever was; some of them forged."""
    seen, records = [Chain("id")], []
    for _ in range(draw(st.integers(1, 12))):
        known = draw(st.sampled_from(seen[-3:]))
        kind = draw(st.sampled_from(["claim", "events", "events", "events", "delete"]))
        envelope = step(kind, known, draw(st.sampled_from(WRITERS)))
        forged = draw(st.sampled_from([{}, {}, {}, {"epoch": 9}, {"writer": WRITERS[1]}, {"prev_offset": 3}]))
        records.append(envelope._replace(**forged))
        seen.append(rule.advance(seen[-1], len(records) - 1, envelope))
    return records


def outcome_of_judge(records: list[Envelope], start: int) -> tuple[list[int], object]:
    chain, counted = Chain("id"), []
    try:
        for offset, envelope in enumerate(records[start:], start):
            chain = rule.judge(chain, offset, envelope, start, "log")
            counted += [offset] * (chain.head.offset == offset)
    except StoredDataError as error:
        return counted, (type(error), str(error))
    return counted, chain


def outcome_of_follower(records: list[Envelope], start: int) -> tuple[list[int], object]:
    follower, counted = Follower(Chain("id")), []
    try:
        for offset, envelope in enumerate(records[start:], start):
            counted += [offset] * follower.take(offset, envelope, start, "log")
    except StoredDataError as error:
        return counted, (type(error), str(error))
    return counted, follower.chain


@given(logs(), st.integers(0, 3))
def test_the_follower_counts_what_judge_counts(records, cut):
    start = min(cut, len(records) - 1)
    assert outcome_of_follower(records, start) == outcome_of_judge(records, start)
