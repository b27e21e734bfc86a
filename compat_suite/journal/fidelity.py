"""Promises about values, all the way down: what goes in comes out, of the same type, at every depth."""

from __future__ import annotations

from typing import Any

from kafka_persist.abc import Capability
from kafka_persist.model import MAX_SEQUENCE_NR, AtomicWrite

from ..engine.case import Promises, case
from ..engine.generated import for_all
from ..engine.subject import JournalSubject, SnapshotSubject
from ..engine.values import TEXTS, metadata_values, nested
from .probe import new_probe, open_probe

TAGS: tuple[frozenset[str], ...] = (
    frozenset({"red", "Red", "RED"}),
    frozenset({"e\u0301", "\xe9"}),
    frozenset({" red", "red ", "red", "r\x00d"}),
    frozenset({"a,b", "a", "b", "a;b", "a|b", "a b"}),
    frozenset({"'", '"', "\\", "%", "_", "[]", "{}", "null", "0"}),
    frozenset({"x" * 500, "x" * 499}),
    frozenset({f"tag-{number}" for number in range(100)}),
)
STAMPS = (1, 999, 1_000, 2**31 - 1, 2**31, 1_234_567_890_123, 2**53 + 1, 1_000, MAX_SEQUENCE_NR, 5)


def takes_lists_and_maps(subject: JournalSubject | SnapshotSubject) -> bool:
    """Whether lists and maps are among the declared values."""
    return {list, dict} <= {type(value) for value in subject.options.payloads}


class FidelityCases(Promises):
    """Values, deep."""

    group = "Values come back as they were, all the way down"

    @case(limit=60.0, threads=True)
    async def test_nested_values_come_back(self, subject: JournalSubject) -> None:
        """E1, J21. Any value that is made of the declared ones, in lists and maps, comes back with all its types.

        Why: 1.0 becomes 1, True becomes 1, bytes become text, and None disappears where nobody looks: inside.
        """
        async with open_probe(subject) as probe:
            last = 0

            async def check(value: Any) -> None:
                nonlocal last
                last += 1
                await probe.submit(AtomicWrite((probe.event(last, payload=value),)))
                await probe.shows([last], last, last)

            for value in subject.options.payloads:
                await check([value, [value], {"in": value}] if takes_lists_and_maps(subject) else value)
            await for_all(subject, lambda st: nested(st, subject.options.payloads), check)

    @case(limit=20.0)
    async def test_texts_come_back_as_they_were(self, subject: JournalSubject) -> None:
        """E1, E4. Text that is not normalised, has NUL, blanks at its ends or looks like a number, in payload and manifest.

        Why: text is trimmed, normalised, cut and guessed at on its way through drivers and columns.
        """
        async with open_probe(subject) as probe:
            for number, text in enumerate(TEXTS, 1):
                payload = text if isinstance(subject.payload(0), str) else subject.payload(number)
                await probe.submit(AtomicWrite((probe.event(number, payload=payload, manifest=text),)))
            await probe.shows(range(1, len(TEXTS) + 1))

    @case(requires=[Capability.METADATA], limit=20.0)
    async def test_nested_metadata_come_back(self, subject: JournalSubject) -> None:
        """E4, J22. Metadata of every shape come back with all their types; "nothing" and "empty" are different.

        Why: `if metadata:` drops 0, False, "" and empty lists.
        """
        values = metadata_values()
        async with open_probe(subject) as probe:
            for number, value in enumerate(values, 1):
                await probe.submit(AtomicWrite((probe.event(number, metadata=value),)))
            await probe.shows(range(1, len(values) + 1))

    @case(requires=[Capability.TAGS])
    async def test_tags_that_look_alike_come_back(self, subject: JournalSubject) -> None:
        """E4, C21. Tags that differ in case, composition, blanks or separators are all there.

        Why: a tag that is folded or split selects other events.
        """
        async with open_probe(subject) as probe:
            for number, tags in enumerate(TAGS, 1):
                await probe.submit(AtomicWrite((probe.event(number, tags=tags),)))
            await probe.shows(range(1, len(TAGS) + 1))

    @case()
    async def test_given_timestamps_are_left_alone(self, subject: JournalSubject) -> None:
        """E4. Given timestamps come back exactly: small, large, falling, and between events that have none.

        Why: imported events happened when they happened; only timestamps that the journal sets must not decrease.
        """
        async with subject.open() as journal:
            alone, mixed = await new_probe(subject, journal, "alone"), await new_probe(subject, journal, "mixed")
            for number, stamp in enumerate(STAMPS, 1):
                await alone.submit(AtomicWrite((alone.event(number, timestamp=stamp),)))
                await mixed.submit(AtomicWrite((mixed.event(2 * number - 1, timestamp=stamp),)))
                if number < 6:  # the journal's own timestamps need not go beyond the largest one
                    await mixed.submit(AtomicWrite((mixed.event(2 * number),)))
            await alone.shows(range(1, len(STAMPS) + 1))
            await mixed.shows([n for n in range(1, 2 * len(STAMPS)) if n % 2 or n < 12])

    @case(requires=[Capability.DURABLE, Capability.METADATA, Capability.TAGS])
    async def test_everything_at_once_survives_a_restart(self, subject: JournalSubject) -> None:
        """X1, E4. Events with all fields set, one beside the other without any, are the same after a restart.

        Why: a cache gives back what it was given; the disk gives back what was stored.
        """
        async with open_probe(subject) as probe:
            for number, text in enumerate(TEXTS[:8], 1):
                full = probe.event(
                    2 * number - 1, manifest=text, timestamp=number, tags={text, "t"}, metadata={"m": [text, None, 1.0]}
                )
                await probe.submit(AtomicWrite((full,)), probe.batch(2 * number))
        async with subject.open() as journal:
            await probe.successor(journal).shows(range(1, 17))
