"""Records that somebody else put into a snapshot topic: a typed error or a right answer, for no more than they are worth.

Their checksums are right where that lets them get further: whoever may write to the topic can compute them.
"""

from __future__ import annotations

import tracemalloc
import zlib
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_persist._core import cbor
from kafka_persist._core import snapshot_format as form
from kafka_persist._core.snapshot_format import Commit, IndexFields, SaveKey
from kafka_persist._core.snapshot_index import SnapshotIndex
from kafka_persist._core.snapshot_index_record import decode_index
from kafka_persist.config import SnapshotStoreConfig
from kafka_persist.driver import Record
from kafka_persist.errors import SnapshotUnreadable, StoredDataError
from kafka_persist.model import SnapshotMetadata
from kafka_persist.snapshots import open_snapshot_store_on

TOPIC, OWNER = "snapshot-id", "id"
DIGEST = form.digest_of(OWNER)
INDEX_KEY = form.index_key(DIGEST)
SAVED = {1: "small", 2: "x" * 1200}
ROOM = 4 << 20
"""Bytes that reading may take beyond what is there anyway; the records have some hundred."""


def sealed(key, first, rest):
    """A value whose checksum is right, of any bytes."""
    return bytes((first, form.VERSION, 0x44)) + zlib.crc32(rest, zlib.crc32(key)).to_bytes(4, "big") + rest


@contextmanager
def little_memory():
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        assert tracemalloc.get_traced_memory()[1] - before < ROOM
    finally:
        tracemalloc.stop()


@asynccontextmanager
async def opened(log):
    """A store with two snapshots, one of them in pieces."""
    config = SnapshotStoreConfig(chunk_bytes=512)
    async with open_snapshot_store_on(log, config) as store:
        for number, value in SAVED.items():
            await store.save(SnapshotMetadata(persistence_id=OWNER, sequence_nr=number), value)
        yield store


# --- drawn ---------------------------------------------------------------------------------------------------------

NUMBERS = st.integers(-2, 9) | st.sampled_from([1 << 20, (1 << 20) + 1, 10**9, (1 << 62) - 1, (1 << 63) - 1, 1 << 70])
SCALARS = st.none() | st.booleans() | NUMBERS | st.floats() | st.text(max_size=3) | st.binary(max_size=20)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=12,
)
COMMIT_KEY = SaveKey(DIGEST, 3, 5, b"f" * 16).commit()
CHUNK_KEY = SaveKey(DIGEST, 2, 5, b"f" * 16).chunk(1)
SOUND = [
    (COMMIT_KEY, [OWNER, 1, 4, 0, 0, b"data"]),
    (COMMIT_KEY, [OWNER, 1, 1 << 21, 2, 0, None]),
    (CHUNK_KEY, [OWNER, b"data"]),
    (INDEX_KEY, [OWNER, 2, 1, [[b"f" * 16, [3, 5, 1, 0, 1, 9, 1], "", False, None]], [[b"key", "why"]]]),
    (INDEX_KEY, [OWNER, 2, 1, [[b"f" * 16, [3, 5, -1, 0, 1, 9, 1], "", True, [0]]], []]),
]
"""Keys, and the fields of their values as this library writes them."""
KEYS = st.sampled_from([INDEX_KEY, COMMIT_KEY, CHUNK_KEY]) | st.binary(max_size=60)


def replaced(draw, value):
    """The same value with something else in one place, at any depth."""
    if not isinstance(value, list) or not value or not draw(st.integers(0, 4)):
        return draw(ANYTHING | NUMBERS)
    place = draw(st.integers(0, len(value) - 1))
    return [*value[:place], replaced(draw, value[place]), *value[place + 1 :]]


@st.composite
def forged(draw):
    """A record with a right checksum: what the library writes with something wrong in it, or anything."""
    key, fields = draw(st.sampled_from(SOUND))
    rest = b"".join(map(cbor.encode, fields))
    match draw(st.sampled_from(["replaced", "replaced", "replaced", "longer", "bytes"])):
        case "replaced":
            place = draw(st.integers(0, len(fields) - 1))
            fields = [*fields[:place], replaced(draw, fields[place]), *fields[place + 1 :]]
            rest = b"".join(map(cbor.encode, fields))
        case "longer":
            key, fields = draw(KEYS), fields + draw(st.lists(ANYTHING, max_size=3))
        case "bytes":
            key, rest = draw(KEYS), draw(st.binary(max_size=60))
    return key, sealed(key, draw(st.just(0x82 + len(fields)) | st.integers(0x80, 0x97)), rest)


@settings(max_examples=300, deadline=None)
@given(st.lists(forged(), min_size=1, max_size=4))
async def test_a_forged_record_is_a_typed_error_or_an_answer(compacted_log, records):
    """Whoever can write to the topic can replace a snapshot, but not take the process down."""
    log = compacted_log()
    async with opened(log) as store:
        for key, value in records:
            log.append(TOPIC, key, value)
        with little_memory(), trio.fail_after(60):
            for _ in range(2):
                with suppress(StoredDataError):
                    await store.load(OWNER)
            try:
                await store.save(SnapshotMetadata(persistence_id=OWNER, sequence_nr=9), "later")
                found = await store.load(OWNER)
            except StoredDataError:
                return
            assert (found.metadata.sequence_nr, found.snapshot) == (9, "later")


@settings(max_examples=300, deadline=None)
@given(st.data())
async def test_a_record_that_was_damaged_is_a_typed_error_or_a_saved_snapshot(compacted_log, data):
    """Without a right checksum nothing gets in: the answer is what was saved."""
    log = compacted_log()
    async with opened(log) as store:
        sound = data.draw(st.sampled_from([record for record in log.topics[TOPIC] if record.value is not None]))
        changed = bytearray(sound.key + sound.value)
        for _ in range(data.draw(st.integers(1, 3))):
            changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
        cut = data.draw(
            st.sampled_from([len(sound.key), len(sound.key), 0, len(changed)]) | st.integers(0, len(changed))
        )
        log.append(TOPIC, bytes(changed[:cut]), bytes(changed[cut:]))
        with little_memory(), trio.fail_after(60):
            try:
                found = await store.load(OWNER)
            except StoredDataError:
                return
            assert found.snapshot == SAVED[found.metadata.sequence_nr]


# --- made by hand --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [300_000_000, 1 << 62, 1 << 63])
def test_a_number_where_bytes_belong_makes_no_bytes(length):
    """41 bytes of record were 4 GB of memory."""
    fields = IndexFields(1, 1, [], [[length, ""]] * 4)
    with little_memory():
        assert decode_index(OWNER, Record(5, INDEX_KEY, form.encode_index(INDEX_KEY, OWNER, fields))) is None


def test_an_empty_array_with_a_right_checksum_is_a_damaged_snapshot():
    """7 bytes of record were a ValueError, which ended the task of the store."""
    index, key = SnapshotIndex(OWNER), SaveKey(DIGEST, 1, 1, bytes(16)).commit()
    index.fold([Record(0, key, sealed(key, 0x82, b""))])
    assert [save.damage for save in index.saves.values()] == ["not a value of a snapshot store"]


@pytest.mark.parametrize("first_offset", [0, 5, 1 << 40])
async def test_a_commit_of_a_million_parts_is_damaged_where_the_log_has_no_room_for_them(compacted_log, first_offset):
    """22 bytes of record were 160 MB and 2 s on the event loop."""
    log = compacted_log()
    async with opened(log) as store:
        key = SaveKey(DIGEST, 3, 3, bytes(16)).commit()
        commit = Commit(1, 1 << 21, 1 << 20, first_offset, None)
        log.append(TOPIC, key, form.encode_commit(key, OWNER, commit))
        log.append(TOPIC, SaveKey(DIGEST, 3, 3, bytes(16)).chunk(7), None)
        with little_memory(), pytest.raises(SnapshotUnreadable, match="names 1048576 parts between offsets"):
            await store.load(OWNER)


async def test_the_highest_generation_there_can_be_does_not_spoil_later_saves(compacted_log):
    """A save takes one more than the highest generation; beyond the largest number nobody could read it."""
    log = compacted_log()
    async with opened(log) as store:
        fields = IndexFields(0, form.MAX_GENERATION, [], [])
        log.append(TOPIC, INDEX_KEY, form.encode_index(INDEX_KEY, OWNER, fields))
        for value in ("first", "second"):
            await store.save(SnapshotMetadata(persistence_id=OWNER, sequence_nr=7), value)
            assert (await store.load(OWNER)).snapshot == value
