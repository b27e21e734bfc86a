"""`PersistentReprDecoder`: a reader of journal topics sees what counts, and nothing else."""

from __future__ import annotations

import uuid

import pytest

from kafka_persist import PersistentReprDecoder
from kafka_persist._core.chain import Chain, advance, claim_envelope, events_envelope
from kafka_persist._core.envelope import encode_entry, encode_envelope, join_entries
from kafka_persist.errors import CorruptRecord, UsageError
from kafka_persist.model import PersistentRepr
from kafka_persist.serialization import default_serializer

OLD, NEW = uuid.uuid4().bytes, uuid.uuid4().bytes


def events(chain, number, payload):
    event = PersistentRepr(persistence_id="a", sequence_nr=number, payload=payload, writer=uuid.UUID(int=1))
    entry = encode_entry(event, default_serializer().dump(payload))
    return events_envelope(chain, number, join_entries([entry]))


def a_log():
    """Records of an id that was taken over while the old writer wrote on."""
    log, chain = [], Chain("a")

    def append(envelope, *, counts=True):
        nonlocal chain
        log.append(encode_envelope(envelope))
        if counts:
            chain = advance(chain, len(log) - 1, envelope)

    append(claim_envelope(chain, OLD))
    append(events(chain, 1, "one"))
    old = chain
    append(claim_envelope(chain, NEW))
    append(events(old, 2, "too late"), counts=False)
    append(events(chain, 2, "two"))
    append(events(chain, 3, "three"))
    return log


def payloads(decoder, log, start=0):
    found = [decoder.decode("a", 0, start + place, value) for place, value in enumerate(log[start:])]
    return [event.payload for batch in found for event in batch]


def test_only_counted_records():
    """The record of the writer that was fenced is left out, like in every replay."""
    assert payloads(PersistentReprDecoder(), a_log()) == ["one", "two", "three"]


def test_records_that_come_twice():
    """A consumer that goes back a little sees nothing twice."""
    decoder, log = PersistentReprDecoder(), a_log()
    assert payloads(decoder, log) + payloads(decoder, log) == ["one", "two", "three"]


def test_going_on_in_a_new_process():
    """With a bookmark beside the consumer's position, the next process goes on, and still knows what counts."""
    log, first, second = a_log(), PersistentReprDecoder(), PersistentReprDecoder()
    assert payloads(first, log[:3]) == ["one"]
    second.resume("a", first.bookmark("a"), "a")
    assert payloads(second, log, 3) == ["two", "three"]
    with pytest.raises(UsageError, match="follows"):
        second.resume("a", first.bookmark("a"), "a")


def test_what_is_no_record():
    """Anything else in the topic is an error that says where."""
    with pytest.raises(CorruptRecord, match=r"a\[0\]@7"):
        PersistentReprDecoder().decode("a", 0, 7, b"x")


@pytest.mark.parametrize(("seen", "rest"), [(1, ["one", "two", "three"]), (3, ["two", "three"])])
def test_records_that_are_left_out(seen, rest):
    """A hole is an error of its own, not a log that seems to be damaged."""
    decoder, log = PersistentReprDecoder(), a_log()
    payloads(decoder, log[:seen])
    with pytest.raises(UsageError, match=f"from offset {seen} on were left out"):
        decoder.decode("a", 0, seen + 1, log[seen + 1])
    assert payloads(decoder, log, seen) == rest


def test_records_that_are_left_out_behind_a_bookmark():
    decoder, log = PersistentReprDecoder(), a_log()
    payloads(decoder, log[:2])
    resumed = PersistentReprDecoder()
    resumed.resume("a", decoder.bookmark("a"), "a")
    with pytest.raises(UsageError, match="from offset 2 on"):
        resumed.decode("a", 0, 4, log[4])
    assert payloads(resumed, log, 2) == ["two", "three"]
