"""What librdkafka's properties are called: facts from `librdkafka_properties.txt`, which lies beside this module."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Mapping
from importlib import resources

import attrs

_FILE = "librdkafka_properties.txt"


@attrs.frozen
class KnownProperty:
    """A property of librdkafka.

    Attributes:
        name: its name.
        scope: "P" (producers), "C" (consumers), "*" (all clients) or "-" (only a program can set it).
        meaning: for an alias the name that it stands for, else the name itself.
    """

    name: str
    scope: str
    meaning: str


@functools.cache
def known_properties() -> Mapping[str, KnownProperty]:
    """Return all properties by name."""
    text = resources.files("kafka_persist._config").joinpath(_FILE).read_text(encoding="ascii")
    rows = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {row[0]: KnownProperty(row[0], row[1], row[-1] if len(row) > 2 else row[0]) for row in rows}


def meaning_of(name: str) -> str:
    """Return the name that `name` is an alias for (a name that is none stands for itself)."""
    known = known_properties().get(name)
    return known.meaning if known else name


def nearest(name: str, candidates: Iterable[str], *, cutoff: float = 0.75) -> str | None:
    """Return the candidate that `name` was probably meant to be."""
    lowered = {candidate.lower(): candidate for candidate in candidates}
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=cutoff)
    return lowered[close[0]] if close else None
