"""Promises about persistence ids: different ids are different, whatever characters they have."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Awaitable, Callable, Iterable

import trio

from kafka_persist.abc import Journal
from kafka_persist.errors import InvalidPersistenceId
from kafka_persist.model import MAX_PERSISTENCE_ID_LENGTH

from .case import Promises, case
from .expect import raises
from .pen import Pen
from .subject import JournalSubject

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
                pen = Pen(subject, journal, name)
                highest = await pen.claim()
                await pen.stored(highest + 1)
                await pen.shows([highest + 1], highest + 1)

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
            pens = [Pen(subject, journal, subject.id(f"many-{index}")) for index in range(count)]
            await _in_parallel(pens, _claim_and_write)
            await _in_parallel(pens, _write_second)
            await _in_parallel(pens, _shows_both)


async def _are_different(subject: JournalSubject, journal: Journal, names: Iterable[str]) -> None:
    """Write a different number of events to each id, then check each."""
    pens = [Pen(subject, journal, name) for name in names]
    for count, pen in enumerate(pens, 1):
        highest = await pen.claim()
        await pen.stored(*range(highest + 1, highest + count + 1))
    for count, pen in enumerate(pens, 1):
        await pen.shows(range(1, count + 1))
        await pen.highest_is(count)


async def _claim_and_write(pen: Pen) -> None:
    await pen.claim()
    await pen.stored(1)


async def _write_second(pen: Pen) -> None:
    await pen.stored(2)


async def _shows_both(pen: Pen) -> None:
    await pen.shows([1, 2])


async def _in_parallel(pens: list[Pen], work: Callable[[Pen], Awaitable[None]], lanes: int = 20) -> None:
    async def lane(own: list[Pen]) -> None:
        for pen in own:
            await work(pen)

    async with trio.open_nursery() as nursery:
        for first in range(min(lanes, len(pens))):
            nursery.start_soon(lane, list(itertools.islice(pens, first, None, lanes)))
