"""The events that one request led to, across ids: found by what stands in their metadata."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import attrs

from ..tagging import CAUSATION_ID, CORRELATION_ID
from .library import Library

LINKS: Final = (CORRELATION_ID, CAUSATION_ID)

NEWEST: Final = 500
"""Of each id, so many of its newest events are looked at."""

MAX_FOUND: Final = 200

_EVENT_NAME: Final = re.compile(r"(?s)(.+)#([1-9][0-9]{0,18})")


@attrs.frozen
class Found:
    """What a search found.

    Attributes:
        events: with this id, in the order of their times.
        ids: how many ids were looked at.
        looked_at: how many events.
        is_cut: there may be more: of some ids only the newest events were looked at, or there are more ids.
    """

    events: Sequence[dict[str, Any]]
    ids: int
    looked_at: int
    is_cut: bool


async def correlated(library: Library, value: str, prefix: str) -> Found:
    """Look through the newest events of ids that begin with `prefix`.

    Raises:
        StoredDataError: what is stored is damaged.
        BrokerError: there was no answer.
    """
    ids, is_cut = await library.ids(prefix)
    found: list[dict[str, Any]] = []
    looked_at = 0
    for persistence_id in ids:
        page = await library.page(persistence_id, None, NEWEST)
        looked_at += len(page.events)
        is_cut = is_cut or page.first > page.oldest
        found += [each for each in page.events if value in link_values(each)]
        if len(found) > MAX_FOUND:
            return Found(by_time(found[:MAX_FOUND]), len(ids), looked_at, True)
    return Found(by_time(found), len(ids), looked_at, is_cut)


def by_time(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort events by their times; those of one id keep their order."""
    return sorted(events, key=lambda each: (each["timestamp"], each["persistence_id"], each["sequence_nr"]))


def link_values(event: dict[str, Any]) -> list[str]:
    """The correlation and causation ids of an event."""
    metadata = event["metadata"]
    if not isinstance(metadata, dict):
        return []
    return [metadata[key] for key in LINKS if isinstance(metadata.get(key), str)]


def named_event(value: str) -> tuple[str, int] | None:
    """The event that a causation id names, as `kafka_persist.caused_by` writes it."""
    match = _EVENT_NAME.fullmatch(value)
    return (match[1], int(match[2])) if match else None
