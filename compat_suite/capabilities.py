"""The vocabulary of capabilities, per kind of store, and the conformance levels that they add up to."""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterable
from typing import Final

from kafka_persist.abc import Capability

from .errors import SpecError

SNAPSHOT_STORE: Final = frozenset(
    {Capability.METADATA, Capability.DURABLE, Capability.MULTIPLE_SNAPSHOTS, Capability.SNAPSHOT_FALLBACK}
)
"""What a snapshot store may declare."""

JOURNAL: Final = frozenset(Capability) - {Capability.MULTIPLE_SNAPSHOTS, Capability.SNAPSHOT_FALLBACK}
"""What a journal may declare."""


class Level(enum.IntEnum):
    """Conformance, each level on top of the one before."""

    NONE = 0
    CORE = 1
    FULL = 2
    CRASH_SAFE = 3
    FENCED = 4

    def __str__(self) -> str:
        return self.name.lower().replace("_", "-")


FULL_JOURNAL: Final = frozenset(
    {
        Capability.MULTI_EVENT_ATOMIC_WRITES,
        Capability.REJECTS_UNSERIALIZABLE,
        Capability.METADATA,
        Capability.TAGS,
        Capability.DELETES,
        Capability.REFUSES_STALE_SEQUENCE_NRS,
    }
)
FULL_SNAPSHOT_STORE: Final = frozenset({Capability.METADATA, Capability.MULTIPLE_SNAPSHOTS})

JOURNAL_LEVELS: Final = {
    Level.CORE: frozenset[Capability](),
    Level.FULL: FULL_JOURNAL,
    Level.CRASH_SAFE: FULL_JOURNAL | {Capability.DURABLE},
    Level.FENCED: FULL_JOURNAL | {Capability.DURABLE, Capability.FENCING},
}
SNAPSHOT_STORE_LEVELS: Final = {
    Level.CORE: frozenset[Capability](),
    Level.FULL: FULL_SNAPSHOT_STORE,
    Level.CRASH_SAFE: FULL_SNAPSHOT_STORE | {Capability.DURABLE},
}


def parse_capabilities(values: Iterable[object], allowed: frozenset[Capability]) -> frozenset[Capability]:
    """Return the capabilities that `values` name: members, or their names or values as text.

    Raises:
        SpecError: an unknown name (with the nearest known one), or one that the other kind of store declares.
    """
    if isinstance(values, (str, Capability)):
        raise SpecError(f"capabilities must be a collection such as frozenset({{Capability.DURABLE}}), not {values!r}")
    return frozenset(_parse(value, allowed) for value in values)


def _parse(value: object, allowed: frozenset[Capability]) -> Capability:
    if isinstance(value, Capability):
        found = value
    else:
        known = {member.value: member for member in Capability}
        text = str(value).strip().lower().replace("_", "-")
        if not isinstance(value, str) or text not in known:
            raise SpecError(f"unknown capability {value!r}; {_nearest(text, [member.value for member in allowed])}")
        found = known[text]
    if found not in allowed:
        raise SpecError(f"capability {found.value!r} is not one of this kind of store; {_list(allowed)}")
    return found


def _nearest(text: str, known: list[str]) -> str:
    near = difflib.get_close_matches(text, known, n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(sorted(known))}"


def _list(allowed: frozenset[Capability]) -> str:
    return f"known are: {', '.join(sorted(member.value for member in allowed))}"
