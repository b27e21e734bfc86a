"""Promises about what is inside an event: payload, manifest, writer, timestamp, tags, metadata, sizes."""

from __future__ import annotations

import time
from typing import Any

from kafka_persist.abc import Capability
from kafka_persist.errors import PersistenceError
from kafka_persist.model import AtomicWrite, Rejection

from ..engine.case import Promises, case
from ..engine.expect import expect, expect_event, raises, require
from ..engine.subject import JournalSubject
from .probe import JournalProbe, new_probe, open_five, open_probe

SIZES = (0, 1, 127, 128, 255, 256, 4_095, 4_096, 4_097, 65_535, 65_536, 100_000, 1_000_000)
OPAQUE: tuple[Any, ...] = ("meta-data", {"origin": "a", "clock": [1, 2]}, 0, "", b"\x00\xff")


class EncodingCases(Promises):
    """What is inside an event."""

    group = "Events as they were written"

    @case(limit=20.0)
    async def test_payloads_of_every_declared_type_come_back(self, subject: JournalSubject) -> None:
        """E1, J21. Each payload type that the store takes comes back equal and of the same type.

        Why: 1 for True or text for bytes is a different event.
        """
        async with open_probe(subject) as probe:
            for number, payload in enumerate(subject.options.payloads, 1):
                await probe.submit(AtomicWrite((probe.event(number, payload=payload),)))
            await probe.shows(range(1, len(subject.options.payloads) + 1))

    @case(limit=30.0)
    async def test_payloads_of_every_size_come_back_whole(self, subject: JournalSubject) -> None:
        """E2. Payloads from 0 bytes to 1 MB are loaded back whole.

        Why: a column or a buffer that cuts at 4 KiB returns success and half an event.
        """
        sizes = [size for size in SIZES if size <= subject.options.largest_payload]
        async with open_probe(subject) as probe:
            for number, size in enumerate(sizes, 1):
                results = await probe.submit(AtomicWrite((probe.event(number, payload="x" * size),)))
                expect(list(results), [None], f"the result of a payload of {size} characters")
            await probe.shows(range(1, len(sizes) + 1))

    @case(needs=["max_write_bytes"])
    async def test_too_large_payloads_are_rejected(self, subject: JournalSubject) -> None:
        """E3. A payload over the limit is a rejection whose reason names the size; it is certainly not stored.

        Why: "unknown" for an event that can never be stored stops an entity that could simply refuse the command.
        """
        limit = subject.options.max_write_bytes
        assert limit is not None
        size = 2 * limit
        async with open_five(subject) as probe:
            results = await probe.journal.write([AtomicWrite((probe.event(6, payload="x" * size),))])
            require(isinstance(results[0], Rejection), f"a payload of {size} bytes was not rejected")
            assert results[0] is not None
            figures = [int(word) for word in _digits(results[0].reason)]
            require(any(size <= figure <= size + 10_000 for figure in figures), f"no size in: {results[0].reason}")
            await probe.stored(7)
            await probe.shows([1, 2, 3, 4, 5, 7])

    @case()
    async def test_the_manifest_comes_back(self, subject: JournalSubject) -> None:
        """E4, C19. The adapter's manifest is stored beside the payload and comes back.

        Why: event adapters find the right conversion by it; without it old events cannot be read.
        """
        async with open_probe(subject) as probe:
            for number, manifest in enumerate(("", "deposited:v2", "ünïcödé ✓", "x" * 1_000), 1):
                await probe.submit(AtomicWrite((probe.event(number, manifest=manifest),)))
            await probe.shows([1, 2, 3, 4])

    @case()
    async def test_the_writer_comes_back(self, subject: JournalSubject) -> None:
        """E4, C15. Each event comes back with the writer that wrote it, also after another one took over.

        Why: the replay filter tells the events of two incarnations apart by it.
        """
        async with open_probe(subject) as probe:
            await probe.stored(1)
            successor, _ = await probe.next_writer()
            await successor.stored(2)
            events = await probe.replay()
            expect([event.writer for event in events], [probe.writer, successor.writer], "the writers")

    @case()
    async def test_the_journal_sets_missing_timestamps(self, subject: JournalSubject) -> None:
        """E4. An event without a timestamp gets the time of the write, in milliseconds.

        Why: views and audits ask when; nothing else in the event tells.
        """
        async with open_probe(subject) as probe:
            before = time.time_ns() // 1_000_000
            await probe.stored(1)
            after = time.time_ns() // 1_000_000
            stamp = (await probe.replay())[0].timestamp
            slack = 60_000
            require(before - slack <= stamp <= after + slack, f"timestamp {stamp} is not within {before}..{after}")

    @case()
    async def test_given_timestamps_come_back(self, subject: JournalSubject) -> None:
        """E4. An event with a timestamp of its own keeps it.

        Why: imported and replicated events carry the time at which they happened.
        """
        async with open_probe(subject) as probe:
            for number, stamp in enumerate((1, 1_000_000_000_000, 2**53 + 1), 1):
                await probe.submit(AtomicWrite((probe.event(number, timestamp=stamp),)))
            await probe.shows([1, 2, 3])

    @case()
    async def test_timestamps_do_not_decrease(self, subject: JournalSubject) -> None:
        """E4. Timestamps that the journal sets never decrease within an id.

        Why: a reader that resumes by time would skip events.
        """
        async with open_probe(subject) as probe:
            for number in range(1, 31):
                await probe.stored(number)
            stamps = [event.timestamp for event in await probe.replay()]
            require(stamps == sorted(stamps), f"the timestamps decrease: {stamps}")

    @case(requires=[Capability.METADATA])
    async def test_metadata_comes_back(self, subject: JournalSubject) -> None:
        """E4, J22, C22. Opaque metadata comes back equal; None stays None.

        Why: replication and tracing put their own data beside the event.
        """
        async with open_probe(subject) as probe:
            for number, metadata in enumerate((None, *OPAQUE), 1):
                await probe.submit(AtomicWrite((probe.event(number, metadata=metadata),)))
            await probe.shows(range(1, len(OPAQUE) + 2))

    @case(requires=[Capability.TAGS])
    async def test_tags_come_back(self, subject: JournalSubject) -> None:
        """E4, C21. Tags come back as the same set, also the empty one.

        Why: views select events by tag; one that is lost is an event that a view never sees.
        """
        sets = (frozenset[str](), frozenset({"red"}), frozenset({"red", "blue", "ünï ✓", "a,b", ""}))
        async with open_probe(subject) as probe:
            for number, tags in enumerate(sets, 1):
                await probe.submit(AtomicWrite((probe.event(number, tags=tags),)))
            await probe.shows(range(1, len(sets) + 1))

    @case(lacks=[Capability.METADATA])
    async def test_metadata_is_refused_if_not_declared(self, subject: JournalSubject) -> None:
        """E4, C22. A journal without metadata rejects or refuses an event that has some, and stores nothing of it.

        Why: dropping it silently loses what the caller wanted kept.
        """
        async with open_probe(subject) as probe:
            await _is_refused(probe, AtomicWrite((probe.event(1, metadata="meta-data"),)))

    @case(lacks=[Capability.TAGS])
    async def test_tags_are_refused_if_not_declared(self, subject: JournalSubject) -> None:
        """E4, C21. A journal without tags rejects or refuses an event that has some, and stores nothing of it.

        Why: dropping them silently hides the event from every view that selects by tag.
        """
        async with open_probe(subject) as probe:
            await _is_refused(probe, AtomicWrite((probe.event(1, tags={"red"}),)))

    @case(requires=[Capability.MULTI_EVENT_ATOMIC_WRITES])
    async def test_events_of_one_atomic_write_keep_their_own_fields(self, subject: JournalSubject) -> None:
        """E4, C1. The events of one atomic write keep each its own manifest, timestamp and payload.

        Why: what is stored once per batch belongs to none of its events.
        """
        async with open_probe(subject) as probe:
            events = [probe.event(n, manifest=f"m{n}", timestamp=1_000 * n, payload=[n]) for n in (1, 2, 3)]
            await probe.submit(AtomicWrite(tuple(events)))
            for got, written in zip(await probe.replay(), events, strict=True):
                expect_event(got, written)


class RejectionCases(Promises):
    """Rejections."""

    group = "Rejected and refused writes"
    needs_rejection = (Capability.REJECTS_UNSERIALIZABLE,)

    @case(requires=needs_rejection, needs=["unserializable"])
    async def test_an_unserializable_event_alone_is_rejected(self, subject: JournalSubject) -> None:
        """W5, J20. Of the writes 6, 7 (not serializable) and 8 in one call, 7 is rejected, 6 and 8 are stored.

        Why: one bad event must not take the others of its call with it.
        """
        async with open_five(subject) as probe:
            bad = AtomicWrite((probe.event(7, payload=subject.options.unserializable),))
            results = await probe.submit(probe.batch(6), bad, probe.batch(8))
            kinds = ["stored" if result is None else type(result).__name__ for result in results]
            expect(kinds, ["stored", "Rejection", "stored"], "the results")
            await probe.shows([1, 2, 3, 4, 5, 6, 8])

    @case(requires=needs_rejection, needs=["unserializable"])
    async def test_a_rejected_event_is_never_stored(self, subject: JournalSubject) -> None:
        """W5, C3, C6. A rejected event never appears, its number stays a hole, and later events are stored.

        Why: rejection means "certainly not stored"; the entity goes on as if the command had not been.
        """
        async with open_five(subject) as probe:
            await probe.journal.write([AtomicWrite((probe.event(6, payload=subject.options.unserializable),))])
            await probe.shows([1, 2, 3, 4, 5])
            await probe.stored(7)
            await probe.shows([1, 2, 3, 4, 5, 7])
            await probe.highest_is(7)

    @case(requires=[*needs_rejection, Capability.MULTI_EVENT_ATOMIC_WRITES], needs=["unserializable"])
    async def test_a_rejected_atomic_write_stores_none_of_its_events(self, subject: JournalSubject) -> None:
        """W6. If one event of an atomic write cannot be serialized, none of them is stored.

        Why: the good part of a refused command is still a part of a refused command.
        """
        async with open_five(subject) as probe:
            for place in range(3):
                events = [probe.event(n) for n in (6, 7, 8)]
                events[place] = probe.event(6 + place, payload=subject.options.unserializable)
                results = await probe.journal.write([AtomicWrite(tuple(events))])
                require(isinstance(results[0], Rejection), f"the write was not rejected, but gave {results[0]!r}")
            await probe.shows([1, 2, 3, 4, 5])

    @case(requires=needs_rejection, needs=["unserializable"])
    async def test_a_rejection_says_why(self, subject: JournalSubject) -> None:
        """W5, C3. A rejection carries its reason.

        Why: it is what the caller of the command gets to read.
        """
        async with open_probe(subject) as probe:
            results = await probe.journal.write(
                [AtomicWrite((probe.event(1, payload=subject.options.unserializable),))]
            )
            require(isinstance(results[0], Rejection) and results[0].reason, f"no reason: {results[0]!r}")

    @case(requires=needs_rejection, needs=["unserializable"])
    async def test_a_rejection_touches_no_other_id(self, subject: JournalSubject) -> None:
        """W3, W5. In a call with several ids, a rejection belongs to its own write; results keep their order.

        Why: the wrong entity would go on with an event that was not stored.
        """
        async with subject.open() as journal:
            one, two = await new_probe(subject, journal, "one"), await new_probe(subject, journal, "two")
            bad = AtomicWrite((one.event(1, payload=subject.options.unserializable),))
            results = await journal.write([two.batch(1), bad, two.batch(2), one.batch(2)])
            kinds = ["stored" if result is None else type(result).__name__ for result in results]
            expect(kinds, ["stored", "Rejection", "stored", "stored"], "the results")
            await one.shows([2])
            await two.shows([1, 2])

    @case(lacks=needs_rejection, needs=["unserializable"])
    async def test_an_unserializable_event_fails_the_call_if_not_declared(self, subject: JournalSubject) -> None:
        """W5, C3. A journal that does not declare rejections raises a library error and stores nothing of the event.

        Why: acknowledging what was not stored is the one thing that it must never do.
        """
        async with open_five(subject) as probe:
            with raises(PersistenceError, "writing what cannot be serialized"):
                await probe.journal.write([AtomicWrite((probe.event(6, payload=subject.options.unserializable),))])
            successor, highest = await probe.next_writer()
            await successor.stored(highest + 1)
            await successor.shows([1, 2, 3, 4, 5, highest + 1])


async def _is_refused(probe: JournalProbe, write: AtomicWrite) -> None:
    try:
        results = await probe.journal.write([write])
    except PersistenceError:
        pass
    else:
        require(isinstance(results[0], Rejection), "the write was stored without what it could not store")
    successor, _ = await probe.next_writer()
    await successor.shows([])


def _digits(text: str) -> list[str]:
    """Return the whole numbers in a text, thousands separators removed."""
    cleaned = text.replace(",", "").replace("_", "")
    return "".join(c if c.isdigit() else " " for c in cleaned).split()
