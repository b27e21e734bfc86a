"""The bytes of snapshot topics: what was written comes back, what was not is refused with a typed error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_persist._core import snapshot_format as form
from kafka_persist._core.snapshot_format import Commit, Kind, SaveKey
from kafka_persist._core.snapshot_payload import decode_payload, encode_payload
from kafka_persist.errors import CorruptRecord, ForeignEvent, StoredDataError, UnsupportedEnvelope
from kafka_persist.model import MAX_SEQUENCE_NR, SnapshotMetadata
from kafka_persist.serialization import Serializer

NUMBERS = st.integers(0, MAX_SEQUENCE_NR)
SAVES = st.builds(SaveKey, st.binary(min_size=16, max_size=16), NUMBERS, NUMBERS, st.binary(min_size=16, max_size=16))
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50)
KEY = SaveKey(form.digest_of("id"), 7, 8, bytes(16)).commit()


@given(SAVES, st.integers(0, form.MAX_PIECES - 1))
def test_keys_come_back(save, index):
    """A key tells kind, number, timestamp and save."""
    assert form.parse_key(save.commit()) == form.ParsedKey(Kind.COMMIT, save.digest, save)
    assert form.parse_key(save.chunk(index)) == form.ParsedKey(Kind.CHUNK, save.digest, save, index)
    assert form.parse_key(form.index_key(save.digest)) == form.ParsedKey(Kind.INDEX, save.digest)


@given(SAVES, SAVES, st.integers(0, 10), st.integers(0, 10))
def test_no_two_records_of_different_saves_share_a_key(one, other, first, second):
    """Compaction can only remove records of the save that it is about."""
    if one != other:
        assert {one.commit(), one.chunk(first)}.isdisjoint({other.commit(), other.chunk(second)})


@given(st.none() | st.binary(max_size=60) | st.binary(max_size=58).map(lambda rest: b"\x01" + rest))
def test_any_key_is_read_or_refused(key):
    """Foreign keys are a typed error, whatever they are."""
    try:
        parsed = form.parse_key(key)
    except StoredDataError:
        return
    if parsed.kind is Kind.INDEX:
        assert form.index_key(parsed.digest) == key
    else:
        assert key == (parsed.save.commit() if parsed.kind is Kind.COMMIT else parsed.save.chunk(parsed.index))


def test_what_a_shared_topic_says_of_itself_comes_back():
    """Its key has the digest of the empty id, which nobody has; one with another digest is none of ours."""
    assert form.parse_key(form.partitions_key()) == form.ParsedKey(Kind.PARTITIONS, form.digest_of(""))
    assert form.decode_partitions(form.encode_partitions(16)) == 16
    with pytest.raises(CorruptRecord):
        form.parse_key(form.partitions_key()[:-1] + b"x")
    with pytest.raises(CorruptRecord):
        form.decode_partitions(form.encode_partitions(16)[:-1] + b"\x11")


def test_without_an_owner_given_a_record_has_to_be_of_the_id_whose_digest_is_in_its_key():
    """Who folds the records of many ids does not know their names."""
    commit = Commit(1, 4, 0, 0, b"data")
    assert form.decode_commit(KEY, form.encode_commit(KEY, "id", commit), "") == commit
    with pytest.raises(ForeignEvent):
        form.decode_commit(KEY, form.encode_commit(KEY, "other", commit), "")


def test_a_key_of_a_later_format_says_so():
    with pytest.raises(UnsupportedEnvelope, match="record format 2"):
        form.parse_key(b"\x02" + KEY[1:])


def test_numbers_beyond_a_sequence_number_are_refused():
    key = bytearray(KEY)
    key[18] = 0x80
    with pytest.raises(CorruptRecord, match="out of range"):
        form.parse_key(bytes(key))


@given(IDS, NUMBERS, st.binary(max_size=300))
def test_a_commit_with_its_data_comes_back(owner, generation, data):
    commit = Commit(generation, len(data), 0, 0, data)
    assert form.decode_commit(KEY, form.encode_commit(KEY, owner, commit), owner) == commit


@given(IDS, st.integers(1, 1000), st.integers(1, 1000), NUMBERS)
def test_a_commit_of_chunks_comes_back(owner, pieces, more, first_offset):
    commit = Commit(3, pieces + more, pieces, first_offset, None)
    assert form.decode_commit(KEY, form.encode_commit(KEY, owner, commit), owner) == commit


@pytest.mark.parametrize(
    "commit",
    [
        Commit(1, 5, 0, 0, b"four"),
        Commit(1, 5, 1, 0, b"fives"),
        Commit(1, 5, 0, 0, None),
        Commit(1, 5, 6, 0, None),
        Commit(-1, 4, 0, 0, b"four"),
        Commit(1, 1 << 40, form.MAX_PIECES + 1, 0, None),
        Commit(True, 4, 0, 0, b"four"),
    ],
)
def test_a_commit_that_contradicts_itself_is_refused(commit):
    with pytest.raises(CorruptRecord):
        form.decode_commit(KEY, form.encode_commit(KEY, "id", commit), "id")


@given(IDS, st.binary(max_size=300))
def test_a_chunk_comes_back(owner, data):
    assert form.decode_chunk(KEY, form.encode_chunk(KEY, owner, data), owner) == data


@given(st.data())
def test_any_changed_byte_is_noticed(data):
    """A value is bound to its key: one changed byte in either is an error."""
    value = form.encode_chunk(KEY, "id", b"some bytes of a snapshot")
    both = bytearray(KEY + value)
    both[data.draw(st.integers(0, len(both) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(StoredDataError):
        form.decode_chunk(bytes(both[: len(KEY)]), bytes(both[len(KEY) :]), "id")


@given(st.none() | st.binary(max_size=40), st.integers(0, 6))
def test_any_value_is_read_or_refused(value, count):
    with pytest.raises(StoredDataError):
        form.unseal(KEY, value, "id", count)


def test_a_value_of_another_id_is_foreign():
    value = form.encode_chunk(KEY, "somebody else", b"")
    with pytest.raises(ForeignEvent, match="somebody else"):
        form.decode_chunk(KEY, value, "id")


def test_a_value_of_a_later_format_says_so():
    value = form.encode_chunk(KEY, "id", b"")
    with pytest.raises(UnsupportedEnvelope, match="record format 2"):
        form.decode_chunk(KEY, value[:1] + b"\x02" + value[2:], "id")


def test_a_payload_brings_metadata_and_bookmark_back():
    metadata = SnapshotMetadata(persistence_id="id", sequence_nr=1, metadata={"a": [1]}, bookmark=b"here")
    payload = encode_payload(Serializer(), metadata, {"state": [1]})
    assert decode_payload(Serializer(), payload, 1000) == ({"state": [1]}, {"a": [1]}, b"here")


@given(st.binary(max_size=60))
def test_any_payload_is_read_or_refused(payload):
    try:
        decode_payload(Serializer(), payload, 1000)
    except StoredDataError:
        return


def test_the_deepest_payload_that_may_be_written_can_be_read():
    deep = []
    for _ in range(200):
        try:
            payload = encode_payload(Serializer(), SnapshotMetadata(persistence_id="i", sequence_nr=0), deep)
        except ValueError:
            break
        assert decode_payload(Serializer(), payload, 10_000)[0] == deep
        deep = [deep]
    else:
        pytest.fail("no limit of depth")
