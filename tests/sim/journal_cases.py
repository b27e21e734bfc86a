"""What the journal makes of it: cases of `cases`, with the real journal on top."""

from __future__ import annotations

import uuid

import attrs

from kafka_persist import AtomicWrite, PersistentRepr

from .cases import case, error_of


@attrs.define
class Pen:
    """One incarnation of an entity."""

    pid: str
    uuid: uuid.UUID = attrs.field(factory=uuid.uuid4)

    def batch(self, first: int, *payloads: object) -> AtomicWrite:
        return AtomicWrite(
            PersistentRepr(persistence_id=self.pid, sequence_nr=first + place, payload=payload, writer=self.uuid)
            for place, payload in enumerate(payloads)
        )


async def written(stage, count):
    journal, pen = await stage.journal(), Pen(stage.topic)
    await journal.claim(pen.pid, pen.uuid)
    for number in range(1, count + 1):
        await journal.write([pen.batch(number, f"e{number}")])
    return journal, pen


async def replayed(journal, pid, low=1):
    async with journal.replay(pid, from_sequence_nr=low) as events:
        return [event.payload async for event in events]


@case(["e1", "e2", "e3"])
async def another_process_reads_what_was_written(stage):
    await written(stage, 3)
    return await replayed(await stage.journal(), stage.topic)


@case(("WriterFenced", ["e1", "e2", "new"]))
async def a_claim_fences_the_writer_before(stage):
    journal, pen = await written(stage, 2)
    other, heir = await stage.journal(), Pen(stage.topic)
    highest = await other.claim(heir.pid, heir.uuid)
    await other.write([heir.batch(highest + 1, "new")])
    return await error_of(journal.write([pen.batch(3, "old")])), await replayed(other, stage.topic)


@case((["e3", "e4"], 4))
async def deleted_events_are_gone_for_other_processes_too(stage):
    journal, pen = await written(stage, 4)
    await journal.delete_to(pen.pid, 2)
    other = await stage.journal()
    return await replayed(other, pen.pid), await other.highest_sequence_nr(pen.pid)


@case(([], 4, ["e5"]))
async def the_highest_number_survives_the_deletion_of_everything(stage):
    journal, pen = await written(stage, 4)
    await journal.delete_to(pen.pid, 1 << 60)
    other = await stage.journal()
    before = await replayed(other, pen.pid), await other.highest_sequence_nr(pen.pid)
    await journal.write([pen.batch(5, "e5")])
    return *before, await replayed(await stage.journal(), pen.pid)


@case("JournalTruncated")
async def a_recreated_topic_is_a_truncated_journal(stage):
    journal, pen = await written(stage, 5)
    await stage.recreate()
    return await error_of(journal.write([pen.batch(6, "e6")]))


@case("JournalHeadLost")
async def a_head_that_a_stranger_cut_off_is_lost(stage):
    await written(stage, 6)
    await stage.cut(3)
    return await error_of(replayed(await stage.journal(), stage.topic))


@case("CorruptRecord")
async def a_strangers_record_is_corrupt(stage):
    await written(stage, 2)
    await stage.produce(b"not a record of the journal")
    return await error_of(replayed(await stage.journal(), stage.topic))


@case(0)
async def an_id_without_a_topic_has_no_events(stage):
    return await (await stage.journal()).highest_sequence_nr(stage.topic)
