"""Opening, closing, cancelling: nothing outlives the block, nothing is half done."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from kafka_persist import StoreClosed


async def test_every_call_after_the_block_is_refused(kafka, writer):
    async with kafka.open() as journal:
        pass
    with pytest.raises(StoreClosed):
        await journal.claim(writer.persistence_id, writer.uuid)
    with pytest.raises(StoreClosed):
        await journal.write([writer.write(1, "a")])
    with pytest.raises(StoreClosed):
        await journal.highest_sequence_nr(writer.persistence_id)
    with pytest.raises(StoreClosed):
        await journal.delete_to(writer.persistence_id, 1)
    with pytest.raises(StoreClosed):
        async with journal.replay(writer.persistence_id):
            pass
    assert "closed" in repr(journal)


async def test_an_error_in_the_block_comes_out_bare(kafka):
    with pytest.raises(KeyError, match="mine"):
        async with kafka.open():
            raise KeyError("mine")


async def test_cancelling_the_block_ends_it(kafka, writer):
    with trio.fail_after(10), trio.CancelScope() as scope:
        async with kafka.open() as journal:
            await journal.claim(writer.persistence_id, writer.uuid)
            scope.cancel(reason="the test wants it")
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_a_write_cancelled_before_it_starts_is_not_stored(journal, writer, read_numbers):
    await journal.claim(writer.persistence_id, writer.uuid)
    with trio.CancelScope() as scope:
        scope.cancel(reason="the test wants it")
        await journal.write([writer.write(1, "a")])
    assert scope.cancelled_caught
    assert await read_numbers(journal, writer.persistence_id) == []
    assert list(await journal.write([writer.write(1, "b")])) == [None]


async def test_a_write_cancelled_while_it_waits_behind_another_is_withdrawn(journal, writer, read_payloads):
    await journal.claim(writer.persistence_id, writer.uuid)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.write, [writer.write(1, "first")])
        await trio.testing.wait_all_tasks_blocked(0)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as inner:
                inner.start_soon(journal.write, [writer.write(2, "second")])
                scope.cancel(reason="the test wants it")
    payloads = await read_payloads(journal, writer.persistence_id)
    assert payloads[0] == "first"
    assert len(payloads) == await journal.highest_sequence_nr(writer.persistence_id)


async def test_writes_of_one_id_are_stored_in_the_order_of_their_calls(journal, writer, read_payloads):
    await journal.claim(writer.persistence_id, writer.uuid)

    async def write(number: int, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await journal.write([writer.write(number, number)])

    async with trio.open_nursery() as nursery:
        for number in range(1, 301):
            await nursery.start(write, number)
    assert await read_payloads(journal, writer.persistence_id) == list(range(1, 301))


async def test_more_writes_than_may_wait_are_held_back_in_order(kafka, writer, read_numbers):
    async with kafka.open(max_waiting_writes=3) as journal:
        await journal.claim(writer.persistence_id, writer.uuid)
        async with trio.open_nursery() as nursery:
            for number in range(1, 51):
                nursery.start_soon(journal.write, [writer.write(number, number)])
                await trio.testing.wait_all_tasks_blocked(0)
        assert await read_numbers(journal, writer.persistence_id) == list(range(1, 51))


async def test_a_replay_left_early_leaves_the_journal_usable(kafka, writer, read_numbers):
    async with kafka.open(replay_batch_bytes=1024) as journal:
        await journal.claim(writer.persistence_id, writer.uuid)
        await journal.write([writer.write(number, "x" * 100) for number in range(1, 500)])
        for _ in range(5):
            async with journal.replay(writer.persistence_id) as events:
                assert (await events.receive()).sequence_nr == 1
        with pytest.raises(StoreClosed):
            await events.receive()
        assert len(await read_numbers(journal, writer.persistence_id)) == 499


async def test_the_payload_is_encoded_when_write_is_called(journal, writer, read_payloads):
    await journal.claim(writer.persistence_id, writer.uuid)
    payload = {"amount": 1}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.write, [writer.write(1, payload)])
        await trio.testing.wait_all_tasks_blocked(0)
        payload["amount"] = 2
    assert await read_payloads(journal, writer.persistence_id) == [{"amount": 1}]
