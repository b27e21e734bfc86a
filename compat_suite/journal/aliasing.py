"""Promises about values that are changed while a call waits: what counts is what they were when it was made."""

from __future__ import annotations

from typing import Any

import trio

from kafka_persist.abc import Capability
from kafka_persist.errors import PersistenceError
from kafka_persist.model import AtomicWrite

from ..engine.case import Promises, case
from ..engine.expect import expect, require
from ..engine.subject import JournalSubject
from ..errors import NotApplicable
from .probe import JournalProbe, open_probe

QUEUED = 8


class AliasingCases(Promises):
    """Values that change while a call waits."""

    group = "What is changed while a call waits"

    @case(limit=20.0)
    async def test_a_payload_changed_while_its_write_waits_is_stored_as_it_was(self, subject: JournalSubject) -> None:
        """W1, C2. Payloads, lists and maps inside them, are changed while their writes wait for others of the id.

        Why: an entity goes on with the list that it handed over; history must not change with it.
        """
        _takes_lists(subject)
        async with open_probe(subject) as probe:
            payloads = [["as", "written", {"number": number, "inner": [number]}] for number in range(1, QUEUED + 1)]
            async with trio.open_nursery() as nursery:
                for number, payload in enumerate(payloads, 1):
                    writes = [AtomicWrite((probe.event(number, payload=payload),))]
                    await nursery.start(write_now, probe, writes)
                    payload[2]["inner"].append("later")  # type: ignore[index]
                    payload[2]["number"] = -1  # type: ignore[index]
                    payload.append("later")
            for event in await probe.replay():
                number = event.sequence_nr
                expected = ["as", "written", {"number": number, "inner": [number]}]
                expect(event.payload, expected, f"event #{number}, whose payload was changed while its write waited")

    @case(requires=[Capability.METADATA], limit=20.0)
    async def test_metadata_changed_while_their_write_waits_are_stored_as_they_were(
        self, subject: JournalSubject
    ) -> None:
        """W1, J22. The same for metadata.

        Why: what is copied for the payload is forgotten for what stands beside it.
        """
        async with open_probe(subject) as probe:
            values = [{"clock": [number]} for number in range(1, QUEUED + 1)]
            async with trio.open_nursery() as nursery:
                for number, metadata in enumerate(values, 1):
                    await nursery.start(write_now, probe, [AtomicWrite((probe.event(number, metadata=metadata),))])
                    metadata["clock"].append(-1)
            for event in await probe.replay():
                expect(event.metadata, {"clock": [event.sequence_nr]}, f"the metadata of event #{event.sequence_nr}")

    @case(limit=20.0)
    async def test_a_list_of_writes_changed_while_its_call_waits_counts_as_it_was(
        self, subject: JournalSubject
    ) -> None:
        """W1, W3. The list that was handed to a call is emptied and refilled while the call waits.

        Why: callers collect writes in one list, hand it over, and collect the next ones in it.
        """
        async with open_probe(subject) as probe:
            collected: list[AtomicWrite] = []
            answers: list[int] = []
            async with trio.open_nursery() as nursery:
                for first in range(1, 2 * QUEUED, 2):
                    collected += [probe.batch(first), probe.batch(first + 1)]
                    await nursery.start(write_now, probe, collected, answers)
                    collected.clear()
                    collected.append(probe.batch(1_000))
                    collected.clear()
            expect(answers, [2] * QUEUED, "the numbers of results")
            await probe.shows(range(1, 2 * QUEUED + 1))

    @case()
    async def test_what_a_reader_changes_no_other_reader_sees(self, subject: JournalSubject) -> None:
        """W1, R7. Payload and metadata of a replayed event are the reader's own, in this store and in another one.

        Why: a cache that gives out its own objects lets one reader write into the history of all others.
        """
        _takes_lists(subject)
        async with open_probe(subject) as probe:
            metadata = [1, {"a": []}] if subject.has(Capability.METADATA) else None
            event = probe.event(1, payload=["as", {"written": []}], metadata=metadata)
            await probe.submit(AtomicWrite((event,)))
            for _ in range(2):
                found = (await probe.replay())[0]
                expect(found.payload, ["as", {"written": []}], "the payload")
                found.payload[1]["written"].append("by a reader")
                found.payload.append("by a reader")
                if metadata is not None:
                    expect(found.metadata, [1, {"a": []}], "the metadata")
                    found.metadata[1]["a"].append("by a reader")


def _takes_lists(subject: JournalSubject) -> None:
    kinds = {type(value) for value in subject.options.payloads}
    if not {list, dict} <= kinds:
        raise NotApplicable("the subject's payloads are neither lists nor maps: they cannot be changed")


async def write_now(
    probe: JournalProbe,
    writes: list[AtomicWrite],
    answers: list[int] | None = None,
    task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Call write; the starter goes on as soon as the call yields."""
    task_status.started()
    try:
        results = await probe.journal.write(writes)
    except PersistenceError as error:
        require(condition=False, what=f"a write that waited for others: {type(error).__name__}: {error}")
    else:
        if answers is not None:
            answers.append(len(results))
