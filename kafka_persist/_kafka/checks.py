"""Which settings of an existing topic would lose data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ..driver import TopicSpec

LEAST_DELETE_RETENTION_MS: Final = 3600 * 1000
"""Longer than any load of a snapshot takes. Kafka's default, and that of topics created here, is a day."""


def problems_of(spec: TopicSpec, settings: Mapping[str, str]) -> Iterator[str]:
    """Each setting that endangers what the topic is for, as a sentence without its end."""
    policy = settings.get("cleanup.policy", "")
    if spec.role == "journal":
        if "compact" in policy:
            yield f"cleanup.policy is {policy!r}: compaction removes events (it must be 'delete')"
        yield from _retention(spec, settings)
    elif spec.role == "snapshot" and "delete" in policy:
        yield f"cleanup.policy is {policy!r}: the newest snapshot is removed when it gets old (it must be 'compact')"
    elif spec.role == "events" and "compact" in policy:
        yield f"cleanup.policy is {policy!r}: compaction keeps one event of each id (it must be 'delete')"
    if spec.role == "snapshot":
        yield from _tombstones(spec, settings)
    if _unclean(settings) and not _unclean(spec.settings):  # what the configuration itself says needed allow-unsafe
        yield "unclean.leader.election.enable is true: a leader that missed writes may take over and lose them"


def _retention(spec: TopicSpec, settings: Mapping[str, str]) -> Iterator[str]:
    for name, unit in (("retention.ms", "ms"), ("retention.bytes", "bytes")):
        found, wanted = settings.get(name, "-1"), spec.settings.get(name, "-1")
        if found not in ("-1", wanted):
            yield f"{name} is {found} {unit}: events are removed before anybody deletes them (it must be {wanted})"


def _tombstones(spec: TopicSpec, settings: Mapping[str, str]) -> Iterator[str]:
    name = "delete.retention.ms"
    found, least = int(settings.get(name, LEAST_DELETE_RETENTION_MS)), LEAST_DELETE_RETENTION_MS
    if found < min(least, int(spec.settings.get(name, least))):
        yield (
            f"{name} is {found} ms: a load that takes longer misses deletions, and finds snapshots that are deleted (it "
            f"must be at least {least})"
        )


def _unclean(settings: Mapping[str, str]) -> bool:
    return settings.get("unclean.leader.election.enable") == "true"
