"""Which failures stop an entity, and that opening it again decides what was stored."""

from __future__ import annotations

import pytest

from kafka_persist import (
    BrokerError,
    ConnectError,
    JournalTruncated,
    WriteOutcomeUnknown,
    WriterFenced,
)


async def test_an_entity_that_is_opened_elsewhere_fences_this_one(world, entity):
    async with world.open() as here, world.open() as there, entity(here) as old:
        await old.persist("a")
        async with entity(there) as new:
            with pytest.raises(WriterFenced):
                await old.persist("lost")
            await new.persist("b")
            with pytest.raises(WriterFenced, match="open it again") as again:
                await old.execute(lambda _: ["lost"])
            assert again.value.persistence_id == old.persistence_id
        assert (old.state, new.state) == (["a"], ["a", "b"])
        assert "stopped" in repr(old)


async def test_a_fenced_entity_can_be_opened_again(world, entity):
    async with world.open() as here, world.open() as there:
        async with entity(here) as old:
            async with entity(there) as new:
                await new.persist("a")
            with pytest.raises(WriterFenced):
                await old.persist("lost")
        async with entity(here) as again:
            await again.persist("b")
            assert again.state == ["a", "b"]


@pytest.mark.parametrize("landed", [False, True])
async def test_an_unknown_outcome_stops_the_entity_and_opening_it_again_decides(memory, entity, landed):
    async with memory.open() as persistence:
        async with entity(persistence) as account:
            script = persistence.journal.after_write if landed else persistence.journal.before_write
            script.steps = [WriteOutcomeUnknown("no answer").about(topic="where", offset=7)]
            with pytest.raises(WriteOutcomeUnknown, match="no answer"):
                await account.persist("a")
            for call in (account.persist, account.save_snapshot, lambda: account.execute(lambda _: [])):
                with pytest.raises(WriteOutcomeUnknown, match="open it again") as stopped:
                    await call()
                assert (stopped.value.topic, stopped.value.offset) == ("where", 7)
            assert account.state == []
        async with entity(persistence) as account:
            assert account.state == (["a"] if landed else [])


async def test_a_broker_that_certainly_stored_nothing_does_not_stop_the_entity(memory, entity):
    async with memory.open() as persistence, entity(persistence) as account:
        persistence.journal.before_write.steps = [ConnectError("nobody there")]
        with pytest.raises(BrokerError):
            await account.persist("a")
        await account.persist("b")
        assert (account.state, account.sequence_nr) == (["b"], 1)


async def test_a_damaged_log_stops_the_entity(memory, entity):
    async with memory.open() as persistence, entity(persistence) as account:
        persistence.journal.before_write.steps = [JournalTruncated("shorter than before")]
        with pytest.raises(JournalTruncated):
            await account.persist("a")
        with pytest.raises(JournalTruncated, match=r"shorter than before\. It cannot be opened again before") as again:
            await account.persist("b")
        assert "open it again" not in str(again.value)
        assert (again.value.certain, again.value.next_step) == (JournalTruncated.certain, JournalTruncated.next_step)


async def test_an_error_that_no_journal_should_raise_leaves_the_outcome_unknown(memory, entity):
    async with memory.open() as persistence, entity(persistence) as account:
        persistence.journal.after_write.steps = [RuntimeError("a bug in the journal")]
        with pytest.raises(WriteOutcomeUnknown, match="a bug in the journal"):
            await account.persist("a")
