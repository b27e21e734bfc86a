"""`Follower` is `judge` without an object, or even a decoding, per record: same records counted, same state, same errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_persist import StoredDataError
from kafka_persist._core import chain as rule
from kafka_persist._core.chain import Chain
from kafka_persist._core.envelope import Envelope, decode_envelope, encode_envelope
from kafka_persist._core.follower import Follower
from kafka_persist._journal.reading import judged
from kafka_persist.driver import Log, Record
from kafka_persist.errors import CorruptRecord, ForeignEvent

WRITERS = [bytes([number]) * 16 for number in (1, 2)]


def step(kind: str, chain: Chain, writer: bytes, commands: int = 0) -> Envelope:
    if kind == "claim":
        return rule.claim_envelope(chain, writer)
    if kind == "delete":
        return rule.delete_envelope(chain, writer, chain.head.highest - 1, commands=commands)
    return rule.events_envelope(chain, chain.head.highest + 2, b"\x81\x00", commands=commands)


@st.composite
def logs(draw: st.DrawFn) -> list[Envelope]:
    """Records that extend the head, an older head, or nothing that ever was; some of them forged."""
    shared = draw(st.booleans())
    seen, records = [Chain("id", shared=shared)], []
    for _ in range(draw(st.integers(1, 12))):
        known = draw(st.sampled_from(seen[-3:]))
        kind = draw(st.sampled_from(["claim", "events", "events", "events", "delete"]))
        done = draw(st.integers(0, 2)) if shared else 0
        envelope = step(kind, known, draw(st.sampled_from(WRITERS)), known.head.commands + done)
        forged = draw(st.sampled_from([{}, {}, {}, {"epoch": 9}, {"writer": WRITERS[1]}, {"prev_offset": 3}]))
        back = draw(st.sampled_from([{}, {}, {}, {"commands": 0}, {"commands": 1}]))
        records.append(envelope._replace(state=envelope.state._replace(**back), **forged))
        seen.append(rule.advance(seen[-1], len(records) - 1, envelope))
    return records


def outcome_of_judge(records: list[Envelope], start: int) -> tuple[list[int], object]:
    chain, counted = Chain("id", shared=records[0].shared), []
    try:
        for offset, envelope in enumerate(records[start:], start):
            chain = rule.judge(chain, offset, envelope, start, "log")
            counted += [offset] * (chain.head.offset == offset)
    except StoredDataError as error:
        return counted, (type(error), str(error))
    return counted, chain


def outcome_of_follower(records: list[Envelope], start: int) -> tuple[list[int], object]:
    follower, counted = Follower(Chain("id", shared=records[0].shared)), []
    try:
        for offset, envelope in enumerate(records[start:], start):
            counted += [offset] * follower.take(offset, envelope, start, "log")
    except StoredDataError as error:
        return counted, (type(error), str(error))
    return counted, follower.chain


def outcome_of_reading(records: list[Envelope], start: int) -> tuple[list[int], object]:
    """As replays read: from bytes, which are decoded only where they are not as predicted."""
    follower, counted = Follower(Chain("id", shared=records[0].shared)), []
    stored = [Record(offset, None, encode_envelope(each)) for offset, each in enumerate(records)][start:]
    try:
        for found in judged(follower, Log("log"), stored, start):
            counted.append(found.offset)
            envelope = decode_envelope(found.value, "log")
            assert (found.first, found.last, found.writer) == (
                envelope.state.first,
                envelope.state.last,
                envelope.writer,
            )
            assert found.value[found.start :] == (envelope.entries or b"\x80")
    except StoredDataError as error:
        return counted, (type(error), str(error).replace(f"log[0]@{error.offset}", "log"))
    return counted, follower.chain


def readable(records: list[Envelope]) -> bool:
    """Whether each of them alone is a legal record: a forged one may not even be decoded."""
    try:
        return all(decode_envelope(encode_envelope(each), "log") == each for each in records)
    except StoredDataError:
        return False


@given(logs(), st.integers(0, 3))
def test_the_follower_counts_what_judge_counts(records, cut):
    start = min(cut, len(records) - 1)
    assert outcome_of_follower(records, start) == outcome_of_judge(records, start)


@given(logs().filter(readable), st.integers(0, 3))
def test_reading_counts_what_judge_counts(records, cut):
    start = min(cut, len(records) - 1)
    assert outcome_of_reading(records, start) == outcome_of_judge(records, start)


def test_records_in_a_row_are_not_decoded():
    """The usual record is followed without `take`; so are the two after somebody else's deletion."""
    follower, chain, records = Follower(Chain("id")), Chain("id"), []
    for kind in ["claim", *["events"] * 3, "delete", "events", "events"]:
        envelope = step(kind, chain, WRITERS[kind == "delete"])
        records.append(Record(len(records), None, encode_envelope(envelope)))
        chain = rule.advance(chain, len(records) - 1, envelope)
    decoded = [found.offset for found in judged(follower, Log("log"), records, 0) if found.envelope is not None]
    assert decoded == [0, 4]
    assert follower.chain == chain


@pytest.mark.parametrize("shared", [False, True])
def test_a_log_of_the_other_layout_is_foreign(shared):
    """A shared log that bears the name of an id is not that id's own log, and the other way round."""
    envelope = rule.claim_envelope(Chain("id"), WRITERS[0])._replace(shared=not shared)
    follower = Follower(Chain("id", shared=shared))
    with pytest.raises(ForeignEvent, match="layout"):
        follower.take(0, envelope, 0, "log")


def test_a_record_of_events_without_entries_is_not_followed():
    """What decoding refuses is not let through by the prediction."""
    chain = rule.advance(Chain("id"), 0, rule.claim_envelope(Chain("id"), WRITERS[0]))
    value = encode_envelope(rule.events_envelope(chain, 1, b""))
    assert Follower(chain).follow(1, value) is None


def test_the_position_of_commands_moves_without_decoding_and_never_falls():
    """It stands among the numbers that change; a record in which it is lower than before contradicts what it extends."""
    chain = rule.advance(Chain("log", shared=True), 0, rule.claim_envelope(Chain("log", shared=True), WRITERS[0]))
    follower = Follower(chain)
    for offset, commands in enumerate((5, 5, 9), 1):
        envelope = rule.events_envelope(follower.chain, offset, b"\x81\x00", commands=commands)
        assert follower.follow(offset, encode_envelope(envelope)) is not None
        assert follower.chain.head.commands == commands
    assert rule.events_envelope(follower.chain, 4, b"\x81\x00", commands=8).state.commands == 9
    assert rule.claim_envelope(follower.chain, WRITERS[1]).state.commands == 9
    forged = rule.events_envelope(follower.chain, 4, b"\x81\x00")
    forged = forged._replace(state=forged.state._replace(commands=8))
    assert follower.follow(4, encode_envelope(forged)) is None
    with pytest.raises(CorruptRecord, match="commands 8 after 9"):
        follower.take(4, forged, 0, "log")
