"""Records as bytes, fixed for ever: `tests/vectors/journal-records.json` is also for readers in other languages."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from kafka_persist import errors
from kafka_persist._core import cbor
from kafka_persist._core.envelope import (
    Claimant,
    Envelope,
    IdState,
    Kind,
    decode_claimant,
    decode_entries,
    decode_envelope,
    encode_claimant,
    encode_entry,
    encode_envelope,
    join_entries,
)
from kafka_persist._core.items import Marker, Run, State, decode_items, decode_states, encode_item
from kafka_persist.model import PersistentRepr
from kafka_persist.serialization import Encoded

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "journal-records.json").read_text("utf-8"))


class Untyped:
    """A serializer that gives what is stored."""

    def load(self, name, version, data):
        return name, version, data


def header(vector):
    parties = {key: bytes.fromhex(vector[key]) for key in ("author", "writer", "prev_author")}
    numbers = {key: vector[key] for key in ("epoch", "prev_offset")}
    state = IdState(*vector["state"])
    return Envelope(Kind(vector["kind"]), **parties, **numbers, state=state, shared=vector["shared"])


def expected(vector, entry):
    payload = cbor.decode(bytes.fromhex(entry["data"]))
    return PersistentRepr(
        persistence_id=vector["state"][0],
        payload=(entry["name"], entry["version"], payload) if entry["name"] else payload,
        writer=UUID(hex=vector["writer"]),
        **{key: entry[key] for key in ("sequence_nr", "timestamp", "manifest", "tags", "metadata")},
    )


def item_of(fields):
    """An item of a shared log; its length says what it is, and bytes are hexadecimal."""
    match fields:
        case [name, writer, first, last, entries, *carried]:
            return Run(name, bytes.fromhex(writer), first, last, bytes.fromhex(entries), bool(carried))
        case [_, _, _]:
            return State(*fields)
        case _:
            return Marker(*fields)


def items_in(record):
    if record.kind is Kind.DELETE:
        return decode_states(record.entries, 0, "t[0]@1")
    return decode_items(record.entries, 0, record.state.last - record.state.first + 1, "t[0]@1")


def of_each(kind):
    return pytest.mark.parametrize("vector", VECTORS[kind], ids=[vector["name"] for vector in VECTORS[kind]])


@of_each("records")
def test_a_stored_record_is_read(vector):
    """What any release has written is read by every later one."""
    found = decode_envelope(bytes.fromhex(vector["value"]), "t[0]@1")
    assert found._replace(entries=b"") == header(vector)
    if "items" in vector:
        assert items_in(found) == [item_of(fields) for fields in vector["items"]]
        return
    events = decode_entries(found, Untyped(), "t[0]@1")
    assert events == [expected(vector, entry) for entry in vector["entries"]]
    if "claimant" in vector:
        assert decode_claimant(found.entries, "t[0]@1") == Claimant(*vector["claimant"])


@of_each("records")
def test_a_record_is_written_like_this(vector):
    """The same record is the same bytes: a change of the format is a change of its version."""
    entries = [
        encode_entry(
            expected(vector, entry),
            Encoded(entry["name"], entry["version"], cbor.decode(bytes.fromhex(entry["data"]))),
        )
        for entry in vector["entries"]
    ]
    entries = entries or [encode_item(item_of(fields)) for fields in vector.get("items", ())]
    claimant = encode_claimant(Claimant(*vector["claimant"])) if "claimant" in vector else b""
    record = header(vector)._replace(entries=join_entries(entries) if entries else claimant)
    assert encode_envelope(record).hex() == vector["value"]


@of_each("records")
def test_the_vectors_explain_their_payloads(vector):
    """Where a payload has a JSON form beside it, that is the same value."""
    for entry in vector["entries"]:
        data = cbor.decode(bytes.fromhex(entry["data"]))
        assert entry.get("data_as_json", data) == data


@of_each("refused")
def test_a_wrong_record_is_refused(vector):
    """Damaged, foreign and later records are refused, each with its own error."""
    with pytest.raises(getattr(errors, vector["error"])):
        decode_envelope(bytes.fromhex(vector["value"]), "t[0]@1")
