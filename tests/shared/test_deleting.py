"""Whoever deletes takes nothing over: the process that owns the log goes on, and finds the deletion in it."""

from __future__ import annotations

import pytest
import trio

from kafka_persist import ClaimOutcomeUnknown, CorruptRecord
from kafka_persist._core.entries import join_entries
from kafka_persist._core.items import Marker, Run, State, decode_states, encode_item
from kafka_persist_testkit.sim import Delivery, Network

from .worlds import Writer, open_world, replayed

IDS = [f"id-{number}" for number in range(40)]


async def test_deletions_elsewhere_while_the_owner_writes_without_a_pause(autojump_clock):
    """Forty entities write all the time; another process deletes what each has: nobody is fenced, nothing is lost or comes back."""
    async with open_world() as world:
        owner, other = await world.journal(), await world.journal()
        writers = [await Writer(owner, pid).claim() for pid in IDS]
        for writer in writers:
            await writer.write("old", "old")
        done = trio.Event()

        async def write_on(writer):
            while not done.is_set():
                assert await writer.write("new") == [None]

        async def delete():
            for pid in IDS[::2]:
                await other.delete_to(pid, 2)
            done.set()

        with trio.fail_after(120):
            async with trio.open_nursery() as nursery:
                for writer in writers:
                    nursery.start_soon(write_on, writer)
                nursery.start_soon(delete)
        reader = await world.journal()
        for writer in writers:
            gone = writer.pid in IDS[::2]
            wanted = ["old"] * 2 * (not gone) + ["new"] * (writer.highest - 2)
            for journal in (owner, other, reader):
                assert await replayed(journal, writer.pid) == wanted


async def test_space_of_what_others_delete_comes_back(autojump_clock):
    """The owner writes, another process deletes: the log is cleaned, and who begins at the cut knows every id and its floor."""
    async with open_world() as world:
        small = {"cleaning_ratio": 1.25, "cleaning_least_bytes": 2_000}
        owner, other = await world.journal(**small), await world.journal(**small)
        kept = await Writer(owner, "kept").claim()
        await kept.write("kept")
        for number in range(150):
            writer = await Writer(owner, f"id-{number}").claim()
            await writer.write(*[f"{step} {'x' * 60}" for step in range(3)])
            await other.delete_to(writer.pid, 1 << 60)
        with trio.fail_after(600):
            while world.log().start < 100:  # noqa: ASYNC110 - the simulated broker tells nobody that it cut a log
                await trio.sleep(1)
        assert await kept.write("still kept") == [None]
        for journal in (owner, other, await world.journal()):
            assert await replayed(journal, "kept") == ["kept", "still kept"]
            for number in range(0, 150, 7):
                assert await journal.highest_sequence_nr(f"id-{number}") == 3
                assert await replayed(journal, f"id-{number}") == []


@pytest.mark.parametrize("late", [False, True])
async def test_an_unknown_deletion_is_safe_to_repeat(autojump_clock, late):
    """Its record may land later, when its states are old: it does not count then, or deletes nothing that it was not asked to."""

    class Lost(Network):
        lost = True

        def delivery(self, log, value):
            landings = (30.0,) if late else ()
            return Delivery(landings, None) if self.lost else Delivery()

    async with open_world() as world:
        owner, network = await world.journal(), Lost()
        writer = await Writer(owner, "one").claim()
        await writer.write("a", "b")
        other = await world.journal(network)
        with pytest.raises(ClaimOutcomeUnknown, match="Trying again is safe") as caught:
            await other.delete_to("one", 1)
        assert (caught.value.persistence_id, caught.value.retriable) == ("one", True)
        network.lost = False
        await writer.write("c")
        await trio.sleep(60)
        await writer.write("d")
        await other.delete_to("one", 2)
        for journal in (owner, other, await world.journal()):
            assert await replayed(journal, "one") == ["c", "d"]


def test_what_a_delete_record_holds():
    """States, at least one, and nothing else."""
    state = encode_item(State("one", 2, 1))
    assert decode_states(join_entries([state]), 0, "here") == [State("one", 2, 1)]
    run = encode_item(Run("one", bytes(16), 1, 1, b"\x81\x00"))
    for entries in ([], [run], [state, run], [encode_item(Marker())]):
        with pytest.raises(CorruptRecord, match=r"^here: a delete record"):
            decode_states(join_entries(entries), 0, "here")
