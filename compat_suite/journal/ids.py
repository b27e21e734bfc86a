"""Promises about persistence ids: different ids are different, whatever characters they have."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Awaitable, Callable, Iterable

import trio

from kafka_persist.abc import Capability, Journal
from kafka_persist.errors import InvalidPersistenceId
from kafka_persist.model import MAX_PERSISTENCE_ID_LENGTH

from ..engine.case import Promises, case
from ..engine.expect import about, expect, raises
from ..engine.patterns import names
from ..engine.subject import JournalSubject
from .probe import JournalProbe

LOOKALIKES: tuple[tuple[str, ...], ...] = (
    ("a/b", "a_b", "a?b", "a b", "a:b", "a.b", "a-b", "a\\b", "a%2Fb"),
    ("A", "a", "\uff41"),
    ("é", "e\u0301", "É"),
    ("x", "x ", " x", "x.", ".x", "x\t", "x\n", "x\x00", "x\u200b"),
    ("日本", "日木", "🚀", "🚁", "\u202eabc", "abc"),
    ("%", "%25", "*", "'", '"', "; DROP TABLE events; --", "${x}", "\\", "\x7f"),
    ("snapshot-x", "x-snapshot", "snapshot-", "snapshot"),
    ("1", "01", "1.0", "\uff11"),
)
"""Ids of one group are easily taken for each other."""
LENGTHS = (30, 63, 64, 249, 250, 255, 256, 999, 1_000)


class IdCases(Promises):
    """Persistence ids."""

    group = "Persistence ids"

    @case(limit=60.0)
    async def test_lookalike_ids_are_different(self, subject: JournalSubject) -> None:
        """P1. Ids that differ only in a separator, in case, in composition or in a blank never share events.

        Why: names are turned into topics, tables and files; where that is not injective, two entities become one.
        """
        prefix = subject.id("")
        async with subject.open() as journal:
            for group in LOOKALIKES:
                await _are_different(subject, journal, [prefix + name for name in group])

    @case()
    async def test_lookalikes_at_the_start_of_an_id_are_different(self, subject: JournalSubject) -> None:
        """P1. Leading dots, blanks, slashes and case differences count as much as those inside.

        Why: "." and ".." are directories, a leading blank is often stripped.
        """
        suffix = subject.id("")
        async with subject.open() as journal:
            names = [head + suffix for head in ("", ".", "..", "./", "../", "/", " ", "_", "-", "%")]
            await _are_different(subject, journal, names)

    @case()
    async def test_dots_alone_are_ids(self, subject: JournalSubject) -> None:
        """P1. "." and ".." are ids like any other: they can be replayed and claimed.

        Why: they are no legal topic or file names; a store that uses ids as names fails or leaves its directory.
        """
        async with subject.open() as journal:
            for name in (".", ".."):
                probe = JournalProbe(subject, journal, name)
                highest = await probe.claim()
                await probe.stored(highest + 1)
                await probe.shows([highest + 1], highest + 1)

    @case(limit=20.0)
    async def test_ids_of_every_length_are_whole(self, subject: JournalSubject) -> None:
        """P2. Ids up to 1,000 characters are kept whole: a difference in the last character counts.

        Why: names are cut at 63, 249 or 255 bytes somewhere below; what is cut makes two ids one.
        """
        base = subject.id("")
        async with subject.open() as journal:
            for length in LENGTHS:
                stem = base.ljust(length - 1, "x")
                await _are_different(subject, journal, [stem + "y", stem + "z"])

    @case()
    async def test_long_ids_of_wide_characters_are_whole(self, subject: JournalSubject) -> None:
        """P2. 1,000 characters of four bytes each are one id, and the last one counts.

        Why: limits are counted in characters here and in bytes below.
        """
        stem = subject.id("").ljust(MAX_PERSISTENCE_ID_LENGTH - 1, "🚀")
        async with subject.open() as journal:
            await _are_different(subject, journal, [stem + "🚀", stem + "🚁"])

    @case()
    async def test_illegal_ids_are_refused(self, subject: JournalSubject) -> None:
        """P3. Empty ids, ids over 1,000 characters and ids without a UTF-8 form raise InvalidPersistenceId.

        Why: refused at the door is better than cut or replaced inside.
        """
        async with subject.open() as journal:
            for name in ("", "x" * (MAX_PERSISTENCE_ID_LENGTH + 1), "\ud800"):
                with raises(InvalidPersistenceId, f"the highest number of an id of {len(name)} characters"):
                    await journal.highest_sequence_nr(name)
                with raises(InvalidPersistenceId, f"a replay of an id of {len(name)} characters"):
                    async with journal.replay(name) as channel:
                        await channel.receive()
                with raises(InvalidPersistenceId, f"a claim of an id of {len(name)} characters"):
                    await journal.claim(name, uuid.uuid4())

    @case(limit=120.0)
    async def test_many_ids_interleaved_stay_apart(self, subject: JournalSubject) -> None:
        """P4, C5. Events of 1,000 ids, written in turns, come back to their own ids.

        Why: ids share partitions, tables and buffers; whichever hash they get, they must not share events.
        """
        count = subject.options.many_ids
        async with subject.open() as journal:
            probes = [JournalProbe(subject, journal, subject.id(f"many-{index}")) for index in range(count)]
            await _in_parallel(probes, _claim_and_write)
            await _in_parallel(probes, _write_second)
            await _in_parallel(probes, _shows_both)

    @case(limit=60.0)
    async def test_ids_that_a_query_language_understands_reach_only_themselves(self, subject: JournalSubject) -> None:
        """P1, D5. Claim, write, replay, highest and delete of an id like ``a%``, ``a*`` or ``A`` reach no other id.

        Why: one operation that compares by pattern is enough: a delete of ``order_1`` takes ``orderX1`` with it.
        """
        prefix = subject.id("")
        async with subject.open() as journal:
            for group in names(prefix):
                await _reaches_only_itself(subject, journal, group[0], group[1:])

    @case(limit=60.0)
    async def test_ids_that_look_alike_to_a_query_language_do_not_reach_it(self, subject: JournalSubject) -> None:
        """P1, D5. The other way round: operations of the plain ids leave the one with the special character alone.

        Why: escaping is forgotten on one side only.
        """
        prefix = subject.id("")
        async with subject.open() as journal:
            for group in names(prefix):
                await _reaches_only_itself(subject, journal, group[1], [group[0]])


async def _reaches_only_itself(subject: JournalSubject, journal: Journal, name: str, others: list[str]) -> None:
    """Do everything to one id; the others, which have three events each, must not notice."""
    neighbours = [JournalProbe(subject, journal, other) for other in others]
    for neighbour in neighbours:
        with about(neighbour.persistence_id, [each.persistence_id for each in neighbours if each is not neighbour]):
            expect(await neighbour.claim(), 0, "the claim of the unknown id")
            await neighbour.stored(1, 2, 3)
    probe = JournalProbe(subject, journal, name)
    with about(name, others):
        await probe.highest_is(0)
        await probe.shows([])
        if subject.has(Capability.DELETES):
            await probe.delete_to(2)
        expect(await probe.claim(), 0, "the claim of the unknown id")
        await probe.stored(1, 2, 3, 4, 5)
        if subject.has(Capability.DELETES):
            await probe.delete_to(4)
            await probe.shows([5])
        else:
            await probe.shows([1, 2, 3, 4, 5])
        probe, highest = await probe.next_writer()
        expect(highest, 5, "the next claim")
    for neighbour in neighbours:
        with about(neighbour.persistence_id, [name]):
            await neighbour.shows([1, 2, 3])
            await neighbour.highest_is(3)
            await neighbour.stored(4)
            await neighbour.shows([1, 2, 3, 4])
    with about(name, others):
        await probe.highest_is(5)
        await probe.stored(6)


async def _are_different(subject: JournalSubject, journal: Journal, names: Iterable[str]) -> None:
    """Write a different number of events to each id, then check each."""
    probes = [JournalProbe(subject, journal, name) for name in names]
    for count, probe in enumerate(probes, 1):
        with about(probe.persistence_id, [other.persistence_id for other in probes[: count - 1]]):
            highest = await probe.claim()
            await probe.stored(*range(highest + 1, highest + count + 1))
    for count, probe in enumerate(probes, 1):
        with about(probe.persistence_id, [other.persistence_id for other in probes if other is not probe]):
            await probe.shows(range(1, count + 1))
            await probe.highest_is(count)


async def _claim_and_write(probe: JournalProbe) -> None:
    await probe.claim()
    await probe.stored(1)


async def _write_second(probe: JournalProbe) -> None:
    await probe.stored(2)


async def _shows_both(probe: JournalProbe) -> None:
    await probe.shows([1, 2])


async def _in_parallel(
    probes: list[JournalProbe], work: Callable[[JournalProbe], Awaitable[None]], lanes: int = 20
) -> None:
    async def lane(own: list[JournalProbe]) -> None:
        for probe in own:
            await work(probe)

    async with trio.open_nursery() as nursery:
        for first in range(min(lanes, len(probes))):
            nursery.start_soon(lane, list(itertools.islice(probes, first, None, lanes)))
