"""Whatever is acknowledged can be read again: by a process with the same limits, and by one with the defaults."""

from __future__ import annotations

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from kafka_persist import JournalConfig, limits
from kafka_persist.journal import open_journal

from .place import Entity, open_place, replayed

IDS = ["a", "id with spaces", "ü" * 300, "\U0001f600" * 1000]


@st.composite
def configurations(draw):
    """Limits of all sizes, many of them odd; what a configuration may not have is not drawn."""
    record = draw(st.one_of(st.integers(limits.MIN_RECORD_BYTES, 20_000), st.just(limits.MAX_RECORD_BYTES)))
    return {
        "max_record_bytes": record,
        "max_event_bytes": draw(st.integers(1, min(record, 30_000))),
        "max_waiting_writes": draw(st.integers(1, 5)),
        "max_waiting_bytes": draw(st.integers(1, 50_000)),
        "max_cached_ids": draw(st.integers(1, 5)),
        "replay_batch_bytes": draw(st.integers(1024, 5_000)),
        "delivery_timeout": 3600.0,
    }


writes = st.lists(st.lists(st.integers(0, 6_000), min_size=1, max_size=6), min_size=1, max_size=5)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(limits=configurations(), ids=st.sets(st.sampled_from(IDS), min_size=1), sizes=writes)
def test_what_is_acknowledged_is_read(limits, ids, sizes):
    async def play():
        async with open_place() as place:
            journal = await place.journal(**limits)
            entities = [Entity(journal, name) for name in ids]

            async def live(entity):
                if len(entity.persistence_id.encode()) + 300 > limits["max_record_bytes"]:
                    return  # no room for such an id: its claim is refused
                await entity.claim()
                for each in sizes:
                    await entity.write(*(bytes(size) for size in each))

            async with trio.open_nursery() as nursery:
                for entity in entities:
                    nursery.start_soon(live, entity)
            for reader in (journal, await place.journal(**limits), await place.journal()):
                for entity in entities:
                    assert await replayed(reader, entity.persistence_id) == entity.acknowledged

    trio.run(play, clock=MockClock(autojump_threshold=0))


async def test_a_write_that_fills_its_record_to_the_byte_is_stored_and_one_more_byte_is_rejected(autojump_clock):
    """The limit is one number: no write is both acknowledged and too large for a record, or neither."""
    async with open_place() as place:
        journal = await place.journal(max_record_bytes=5_000, max_event_bytes=5_000)
        entity = Entity(journal, "id")
        await entity.claim()
        room = limits.entries_room(5_000, "id")
        overhead = 16  # of this event
        taken = [size for size in range(room - overhead - 4, room) if await entity.write(bytes(size))]
        assert 0 < len(taken) < overhead + 4
        assert taken == list(range(taken[0], taken[0] + len(taken)))
        assert await replayed(await place.journal(), "id") == [bytes(size) for size in taken]


@pytest.mark.broker
@pytest.mark.parametrize("record", [2_000, 20_000, 3_000_000])
async def test_on_a_broker_what_is_acknowledged_is_read(kafka_server, kafka_prefix, record):
    """Small records and large ones, by the same configuration and by the default one."""
    config = JournalConfig(
        bootstrap_servers=kafka_server.bootstrap_servers,
        max_record_bytes=record,
        max_event_bytes=record,
        max_waiting_writes=2,
        max_waiting_bytes=record,
        max_cached_ids=2,
        replay_batch_bytes=1024,
    )
    async with open_journal(config) as journal:
        entities = [Entity(journal, f"{kafka_prefix}{number}") for number in range(4)]

        async def live(entity):
            await entity.claim()
            for size in (0, 1, record // 2, record - 300, record - 100, record):
                await entity.write(bytes(size))
            await entity.write(*[bytes(record // 20)] * 10)

        async with trio.open_nursery() as nursery:
            for entity in entities:
                nursery.start_soon(live, entity)
    for changes in ({}, {"max_record_bytes": 1_000_000, "max_event_bytes": 1, "replay_batch_bytes": 1 << 20}):
        async with open_journal(JournalConfig(**{**settings_of(config), **changes})) as journal:
            for entity in entities:
                assert len(entity.acknowledged) == 14
                assert await replayed(journal, entity.persistence_id) == entity.acknowledged


def settings_of(config: JournalConfig) -> dict[str, object]:
    names = ("bootstrap_servers", "max_record_bytes", "max_event_bytes", "replay_batch_bytes")
    return {name: getattr(config, name) for name in names}
