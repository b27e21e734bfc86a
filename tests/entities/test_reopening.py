"""What the registry does when an entity stops: it opens it again, and repeats only what is certainly not stored."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from kafka_persist import (
    AlreadyExecuted,
    ClaimOutcomeUnknown,
    CorruptRecord,
    ReopenPolicy,
    UnsupportedOperation,
    UsageError,
    WriteNotSent,
    WriteOutcomeUnknown,
    WriterFenced,
)

from .conftest import ACCOUNT, Put, account_type, evolve, put, take

UNKNOWN = "no report came"


def lost_report():
    return WriteOutcomeUnknown(UNKNOWN)


async def test_a_fenced_command_runs_again_on_the_state_as_it_is_now(world, autojump_clock):
    """Another process wrote in between: the command decides anew, and both have taken effect once."""
    async with world.open() as here, world.open() as there, here.entities() as entities:
        await entities.execute(ACCOUNT, "1", put, 10)
        async with there.entity("account-1", initial=0, evolve=evolve) as elsewhere:
            await elsewhere.execute(take, 4)
        assert await entities.execute(ACCOUNT, "1", take, 5) == 1
        assert (entities.statistics().fenced, entities.statistics().retried) == (1, 1)
        assert entities.health().healthy
    assert world.numbers() == [1, 2, 3]


async def test_a_command_that_is_fenced_each_time_gives_up_after_the_policys_attempts(world, autojump_clock):
    """The pauses grow to their limit; then the caller gets the error."""
    policy = ReopenPolicy(attempts=4, first_pause=1, longest_pause=2)
    async with world.open() as persistence, persistence.entities(reopen=policy) as entities:
        persistence.journal.write_faults.before = [WriterFenced("taken over")] * 4
        began = trio.current_time()
        with pytest.raises(WriterFenced):
            await entities.execute(ACCOUNT, "1", put, 1)
        assert 0.5 + 1 + 1 <= trio.current_time() - began <= 1 + 2 + 2
        assert persistence.journal.claim_faults.calls == 4
        await entities.execute(ACCOUNT, "1", put, 1)
    assert world.numbers() == [1]


@pytest.mark.parametrize("stored", [False, True])
async def test_a_command_with_an_unknown_outcome_is_not_repeated(world, stored):
    """The caller is told; the next use opens the entity again, and then the state says what is stored."""
    async with world.open() as persistence, persistence.entities() as entities:
        await entities.execute(ACCOUNT, "1", put, 1)
        faults = persistence.journal.write_faults
        steps = faults.after if stored else faults.before
        steps.append(lost_report())
        with pytest.raises(WriteOutcomeUnknown, match=UNKNOWN) as caught:
            await entities.execute(ACCOUNT, "1", put, 10)
        assert "opens the entity again" in caught.value.__notes__[0]
        assert faults.calls == 2
        assert "WriteOutcomeUnknown" in entities.health().problems[0]
        assert await entities.state(ACCOUNT, "1") == (11 if stored else 1)
        assert (entities.statistics().unknown, entities.statistics().retried) == (1, 0)


async def test_those_who_wait_behind_an_unknown_outcome_run_on_the_entity_that_is_opened_again(world):
    """Their commands had not begun, so nothing of them can be stored: each takes effect once."""
    async with world.open() as persistence, persistence.entities() as entities:
        await entities.execute(ACCOUNT, "1", put, 1)
        gate = trio.Event()

        async def wait_and_lose():
            await gate.wait()
            raise lost_report()

        async def first():
            with pytest.raises(WriteOutcomeUnknown):
                await entities.execute(ACCOUNT, "1", put, 100)

        persistence.journal.write_faults.after = [wait_and_lose]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(20):
                nursery.start_soon(entities.execute, ACCOUNT, "1", put, 1)
            await trio.testing.wait_all_tasks_blocked()
            gate.set()
        assert await entities.state(ACCOUNT, "1") == 121
        assert entities.statistics().opened == 2


async def test_an_unknown_claim_is_repeated(world, autojump_clock):
    """No command is at stake while an entity opens."""
    async with world.open() as persistence, persistence.entities() as entities:
        persistence.journal.claim_faults.after = [ClaimOutcomeUnknown("no report came")]
        assert await entities.execute(ACCOUNT, "1", put, 1) == (Put(1),)


async def test_what_is_certainly_not_stored_for_want_of_a_broker_is_raised_and_the_entity_goes_on(world):
    """How long to wait for a broker is the caller's decision."""
    async with world.open() as persistence, persistence.entities() as entities:
        persistence.journal.write_faults.before = [WriteNotSent("nobody took it")]
        with pytest.raises(WriteNotSent):
            await entities.execute(ACCOUNT, "1", put, 1)
        assert not entities.health().healthy
        await entities.execute(ACCOUNT, "1", put, 1)
        assert entities.health().healthy
        assert entities.statistics().opened == 1


async def test_a_damaged_log_stops_its_entity_only(world):
    """The others go on, and the damaged one says so at each use."""
    async with world.open() as persistence, persistence.entities() as entities:
        persistence.journal.write_faults.before = [CorruptRecord("damaged")]
        persistence.journal.claim_faults.before = [None, *[CorruptRecord("damaged")] * 2]
        for _ in range(3):
            with pytest.raises(CorruptRecord):
                await entities.execute(ACCOUNT, "1", put, 1)
        assert await entities.execute(ACCOUNT, "2", put, 1) == (Put(1),)


async def test_one_line_is_logged_for_each_change_of_state(world, autojump_clock, caplog):
    """Lines carry a stable name and the id; retries write none."""
    caplog.set_level(logging.INFO, "kafka_persist.entity")
    async with world.open() as persistence, persistence.entities() as entities:
        persistence.journal.write_faults.before = [WriterFenced("taken over"), None, lost_report()]
        await entities.execute(ACCOUNT, "1", put, 1)
        with pytest.raises(WriteOutcomeUnknown):
            await entities.execute(ACCOUNT, "1", put, 1)
    lines = [(record.event, record.persistence_id) for record in caplog.records]
    assert lines == [("entity.fenced", "account-1"), ("entity.unknown", "account-1")]


# --- idempotency keys ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [False, True])
async def test_a_command_with_a_key_is_repeated_and_takes_effect_once(world, autojump_clock, stored):
    """The registry may repeat it, as it finds the key where the first attempt was stored."""
    async with world.open() as persistence, persistence.entities() as entities:
        await entities.execute(ACCOUNT, "1", put, 10)
        faults = persistence.journal.write_faults
        steps = faults.after if stored else faults.before
        steps.append(lost_report())
        assert await entities.execute_once(ACCOUNT, "1", "request-1", take, 4) == 6
        assert await entities.execute_once(ACCOUNT, "1", "request-1", take, 4) == 6
        assert await entities.execute_once(ACCOUNT, "1", "request-2", put, 1) == (Put(1),)
        assert await entities.execute_once(ACCOUNT, "1", "request-2", put, 1) == (Put(1),)
        assert await entities.state(ACCOUNT, "1") == 7
    async with world.open() as persistence, persistence.entities() as entities:
        assert await entities.execute_once(ACCOUNT, "1", "request-1", take, 4) == 6
    assert world.numbers() == [1, 2, 3]


async def test_keys_are_in_snapshots_and_outlive_their_events(world):
    """Where the events are gone, the command still does not run again; what it returned is gone."""
    kind = account_type(snapshot_every=2, keep_events=0)
    async with world.open() as persistence, persistence.entities() as entities:
        await entities.execute_once(kind, "1", "request-1", put, 5)
        await entities.execute(kind, "1", put, 1)
    assert world.numbers() == []
    async with world.open() as persistence, persistence.entities() as entities:
        with pytest.raises(AlreadyExecuted, match="events 1 to 1"):
            await entities.execute_once(kind, "1", "request-1", put, 5)
        assert await entities.state(kind, "1") == 6


async def test_only_the_newest_keys_are_remembered(world):
    """So that an entity needs bounded memory; after a replay they are the same ones."""
    kind = account_type(remember_keys=2)
    for _ in range(2):
        async with world.open() as persistence, persistence.entities() as entities:
            for key in ("a", "b", "c"):
                await entities.execute_once(kind, "1", key, put, 1)
    # the second round: "a" was forgotten, and as it came in again, it drove out "b", and so on
    assert world.numbers() == [1, 2, 3, 4, 5, 6]
    async with world.open() as persistence, persistence.entities() as entities:
        await entities.execute_once(kind, "1", "c", put, 1)
    assert len(world.numbers()) == 6


@pytest.mark.parametrize("key", ["", "k" * 201, 7, None])
async def test_a_key_is_a_short_text(world, key):
    """What is not is refused before the command runs."""
    async with world.open() as persistence, persistence.entities() as entities:
        with pytest.raises(UsageError, match="idempotency key"):
            await entities.execute_once(ACCOUNT, "1", key, put, 1)


async def test_where_no_keys_are_remembered_none_is_taken(world):
    """A key that would be forgotten at once is no protection."""
    kind = account_type(remember_keys=0)
    async with world.open() as persistence, persistence.entities() as entities:
        with pytest.raises(UsageError, match="remembers no idempotency keys"):
            await entities.execute_once(kind, "1", "key", put, 1)


async def test_a_journal_without_metadata_takes_no_keys(world):
    """It would drop the key, so it is refused."""
    async with world.open() as persistence, persistence.entities() as entities:
        persistence.journal.missing = {"METADATA"}
        with pytest.raises(UnsupportedOperation):
            await entities.execute_once(ACCOUNT, "1", "key", put, 1)
        assert await entities.execute(ACCOUNT, "1", put, 1) == (Put(1),)


@pytest.mark.parametrize(
    ("option", "value"),
    [("attempts", 0), ("attempts", 101), ("first_pause", 0), ("longest_pause", float("inf")), ("attempts", True)],
)
def test_a_policy_has_limits(option, value):
    """Each number is checked when the policy is made."""
    with pytest.raises(UsageError, match=option):
        ReopenPolicy(**{option: value})
