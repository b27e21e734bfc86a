"""Promises of the query capability: which ids exist."""

from __future__ import annotations

from kafka_persist.abc import Capability, Journal
from kafka_persist.errors import UnsupportedOperation

from ..engine.case import Promises, case
from ..engine.expect import raises, require
from ..engine.subject import JournalSubject
from .probe import JournalProbe, new_probe

QUERY = [Capability.PERSISTENCE_IDS]


async def _ids(journal: Journal) -> list[str]:
    async with journal.persistence_ids() as channel:
        return [name async for name in channel]


class QueryCases(Promises):
    """Queries."""

    group = "Queries"

    @case(requires=QUERY)
    async def test_every_written_id_is_listed_once(self, subject: JournalSubject) -> None:
        """Q1. The list of ids holds each id that was written, exactly once, in any order.

        Why: a migration that walks over the ids skips what is not listed and doubles what is listed twice.
        """
        async with subject.open() as journal:
            probes = [await new_probe(subject, journal, f"listed-{index}") for index in range(20)]
            for probe in probes:
                await probe.stored(1)
                await probe.stored(2)
            listed = await _ids(journal)
            counts = {listed.count(probe.persistence_id) for probe in probes}
            require(counts == {1}, f"ids are listed {sorted(counts)} times")

    @case(requires=QUERY)
    async def test_hostile_ids_are_listed_as_they_are(self, subject: JournalSubject) -> None:
        """Q1, P1. An id comes out of the list as it went in, whatever its characters.

        Why: a name that was made fit for a file is not the id.
        """
        async with subject.open() as journal:
            names = [subject.id(tail) for tail in ("a/b", "a_b", "ünï ✓", "snapshot-x", "x" * 300)]
            for name in names:
                await (await new_probe(subject, journal, name, exact=True)).stored(1)
            missing = set(names) - set(await _ids(journal))
            require(not missing, f"not listed: {sorted(missing)}")

    @case(requires=QUERY)
    async def test_ids_that_were_never_written_are_not_listed(self, subject: JournalSubject) -> None:
        """Q1. Asking for an id, or replaying it, does not make it exist.

        Why: a list that grows by looking at it is of no use.
        """
        async with subject.open() as journal:
            probe = JournalProbe(subject, journal, subject.id("asked"))
            await probe.highest_is(0)
            await probe.shows([])
            require(probe.persistence_id not in await _ids(journal), "an id that was only asked for is listed")

    @case(requires=[*QUERY, Capability.DELETES])
    async def test_an_id_without_events_that_were_deleted_stays_listed(self, subject: JournalSubject) -> None:
        """Q1, C9. An id whose events were all deleted has been written, and stays in the list.

        Why: its highest number still counts.
        """
        async with subject.open() as journal:
            probe = await new_probe(subject, journal, "emptied")
            await probe.stored(1, 2)
            await probe.delete_to(2)
            require(probe.persistence_id in await _ids(journal), "an id is gone from the list after a delete")

    @case(requires=[*QUERY, Capability.DURABLE])
    async def test_ids_are_listed_after_a_restart(self, subject: JournalSubject) -> None:
        """Q1, X1. After a restart the list is the same.

        Why: a list that only knows what was written since the start hides the rest.
        """
        async with subject.open() as journal:
            probe = await new_probe(subject, journal)
            await probe.stored(1)
        async with subject.open() as journal:
            require(probe.persistence_id in await _ids(journal), "an id is gone from the list after a restart")

    @case(requires=QUERY)
    async def test_a_list_may_be_left_early(self, subject: JournalSubject) -> None:
        """Q1, R6. Leaving the list after its first id releases it; the journal goes on.

        Why: "is there any?" is a fair question.
        """
        async with subject.open() as journal:
            for index in range(5):
                await (await new_probe(subject, journal, f"left-{index}")).stored(1)
            for _ in range(10):
                async with journal.persistence_ids() as channel:
                    await channel.receive()
            await (await new_probe(subject, journal, "after")).stored(1)

    @case(lacks=QUERY)
    async def test_listing_is_refused_if_not_declared(self, subject: JournalSubject) -> None:
        """Q1. A journal that does not declare it raises UnsupportedOperation.

        Why: an empty list would say that there is nothing.
        """
        async with subject.open() as journal:
            with raises(UnsupportedOperation, "persistence_ids()"):
                await _ids(journal)

    @case()
    async def test_the_journal_declares_what_its_spec_declares(self, subject: JournalSubject) -> None:
        """Q2. The journal's own `capabilities` are a constant frozenset and equal to what its spec declares.

        Why: callers decide by them; a suite that checks something else than what is declared proves nothing.
        """
        async with subject.open() as journal:
            declared = journal.capabilities
            require(isinstance(declared, frozenset), f"capabilities is a {type(declared).__name__}, not a frozenset")
            difference = sorted(str(getattr(one, "value", one)) for one in declared ^ subject.capabilities)
            require(not difference, f"journal and spec differ in: {', '.join(difference)}")
            await (await new_probe(subject, journal)).stored(1)
            require(journal.capabilities == declared, "capabilities changed")
