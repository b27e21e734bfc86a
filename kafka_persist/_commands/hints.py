"""Which settings of brokers and topics suit the stores: the original's configuration hints, and ours (pure)."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import attrs

from ..config import Config

Settings = Mapping[str, str]

REPLICATED: Final = 3
"""Brokers from which on a cluster can survive the loss of one without losing what was acknowledged."""

REPLICATION: Final = "replication factor"
"""Called like a setting, though Kafka has none of this name for a topic that exists."""

HOUR_MS: Final = 3600 * 1000
WEEK_MINUTES: Final = 7 * 24 * 60


class Verdict(enum.Enum):
    """How a finding is to be taken."""

    OK = "ok"
    ADVICE = "advice"
    """Works; another value would be better for the reason given."""
    DANGER = "danger"
    """Loses events or snapshots, or makes writes fail."""


@attrs.frozen
class Finding:
    """One row of the table.

    Attributes:
        where: the broker or topic.
        setting: its name in Kafka.
        value: what is set ("" if the broker does not say).
        verdict: how it is to be taken.
        why: what depends on it, one sentence.
        fix: what to set; "" where nothing needs to be done.
    """

    where: str
    setting: str
    value: str
    verdict: Verdict
    why: str
    fix: str = ""


@attrs.frozen
class Hint:
    """One rule: its setting, whether a value is fine, and what is said about one that is not."""

    setting: str
    fits: Callable[[str, Config, int], bool]
    verdict: Verdict
    why: str
    fix: str

    def judge(self, where: str, settings: Settings, config: Config, brokers: int) -> Finding:
        """Apply the rule to a broker's or topic's settings."""
        value = settings.get(self.setting, "")
        if value == "" or self.fits(value, config, brokers):
            return Finding(where, self.setting, value, Verdict.OK, self.why)
        return Finding(where, self.setting, value, self.verdict, self.why, self.fix)


def _transaction_timeout(config: Config) -> int:
    return int(config.journal.event_producer_properties().get("transaction.timeout.ms", 0))


def _largest(config: Config) -> int:
    return max(config.journal.max_record_bytes, config.snapshot_store.max_record_bytes)


BROKER_HINTS: Final = (
    Hint(
        "num.partitions",
        lambda value, *_: value == "1",
        Verdict.ADVICE,
        "journal and snapshot topics use one partition; the library creates its own topics with one, whatever this is",
        "num.partitions=1, more only for user-defined topics, one by one",
    ),
    Hint(
        "default.replication.factor",
        lambda value, _, brokers: int(value) >= min(REPLICATED, brokers) and int(value) > 1,
        Verdict.DANGER,
        "with one copy the loss of one disk loses every event on it",
        "default.replication.factor=3 (or topics.replication-factor), on at least three brokers",
    ),
    Hint(
        "min.insync.replicas",
        lambda value, _, brokers: brokers < REPLICATED or int(value) > 1,
        Verdict.DANGER,
        "with 1 a write is acknowledged by a leader alone, and lost with it",
        "min.insync.replicas=2",
    ),
    Hint(
        "unclean.leader.election.enable",
        lambda value, *_: value == "false",
        Verdict.DANGER,
        "a replica that missed writes may become leader and lose acknowledged ones",
        "unclean.leader.election.enable=false",
    ),
    Hint(
        "message.max.bytes",
        lambda value, config, _: int(value) >= _largest(config),
        Verdict.DANGER,
        "a record of the configured max-record-bytes is refused by a broker with less",
        "message.max.bytes of at least max-record-bytes, or a smaller max-record-bytes",
    ),
    Hint(
        "replica.fetch.max.bytes",
        lambda value, config, _: int(value) >= _largest(config),
        Verdict.ADVICE,
        "followers fetch at least one record whatever its size, but slowly if it is larger than this",
        "replica.fetch.max.bytes of at least max-record-bytes",
    ),
    Hint(
        "auto.create.topics.enable",
        lambda value, *_: value == "false",
        Verdict.ADVICE,
        "a client that looks for a topic creates it with the broker's defaults: finite retention",
        "auto.create.topics.enable=false",
    ),
    Hint(
        "log.cleanup.policy",
        lambda value, *_: value == "delete",
        Verdict.ADVICE,
        "the original needed compact here; this library sets each topic's own policy, and compact is wrong for events",
        "log.cleanup.policy=delete",
    ),
)

TRANSACTION_HINTS: Final = (
    Hint(
        "offsets.retention.minutes",
        lambda value, *_: int(value) >= WEEK_MINUTES,
        Verdict.ADVICE,
        "an id whose process died must be opened or swept within this time, or its last events are published twice",
        "offsets.retention.minutes=10080 (a week, Kafka's default) or more",
    ),
    Hint(
        "transaction.state.log.replication.factor",
        lambda value, _, brokers: int(value) <= brokers,
        Verdict.DANGER,
        "with fewer brokers than copies no transaction can begin, and nothing is published",
        "transaction.state.log.replication.factor of at most the number of brokers",
    ),
    Hint(
        "transaction.max.timeout.ms",
        lambda value, config, _: int(value) >= _transaction_timeout(config),
        Verdict.DANGER,
        "a publisher with a longer transaction.timeout.ms is refused, and nothing is published",
        "event.producer.transaction.timeout.ms of at most transaction.max.timeout.ms",
    ),
)
"""For ``mode = "exactly-once"``."""

TOPIC_HINTS: Final = (
    Hint(
        REPLICATION,
        lambda value, _, brokers: int(value) >= min(REPLICATED, brokers),
        Verdict.DANGER,
        "with fewer copies than brokers allow, the loss of a disk loses what is on it",
        "three copies: kafka-reassign-partitions.sh",
    ),
    Hint(
        "min.insync.replicas",
        lambda value, _, brokers: brokers < REPLICATED or int(value) > 1,
        Verdict.DANGER,
        "with 1 a write is acknowledged by a leader alone, and lost with it",
        "min.insync.replicas=2",
    ),
    Hint(
        "unclean.leader.election.enable",
        lambda value, *_: value == "false",
        Verdict.DANGER,
        "a replica that missed writes may become leader and lose acknowledged ones",
        "unclean.leader.election.enable=false",
    ),
    Hint(
        "message.timestamp.type",
        lambda value, *_: value == "LogAppendTime",
        Verdict.ADVICE,
        "from Kafka 4 on a broker refuses the writes of a client whose clock is more than an hour ahead",
        "message.timestamp.type=LogAppendTime",
    ),
)
"""For topics of both kinds, as they are: their brokers' defaults may have been others when they were created."""

JOURNAL_HINTS: Final = (
    Hint(
        "cleanup.policy",
        lambda value, *_: value == "delete",
        Verdict.DANGER,
        "compaction removes events",
        "cleanup.policy=delete",
    ),
    Hint(
        "retention.ms",
        lambda value, config, _: value == "-1" or value == str(config.journal.topics.retention_ms),
        Verdict.DANGER,
        "events are removed by age; an entity whose last snapshot is older cannot recover",
        "retention.ms=-1, or topics.retention-ms and snapshots at shorter intervals",
    ),
    Hint(
        "retention.bytes",
        lambda value, *_: value == "-1",
        Verdict.DANGER,
        "events are removed by size; an entity without a newer snapshot cannot recover",
        "retention.bytes=-1",
    ),
)

SNAPSHOT_HINTS: Final = (
    Hint(
        "cleanup.policy",
        lambda value, *_: value == "compact",
        Verdict.DANGER,
        "without compaction alone the newest snapshot is removed when it gets old",
        "cleanup.policy=compact",
    ),
    Hint(
        "delete.retention.ms",
        lambda value, *_: int(value) >= HOUR_MS,
        Verdict.DANGER,
        "a load that takes longer misses deletions, and finds snapshots that are deleted",
        "delete.retention.ms=86400000",
    ),
)


def judge(hints: tuple[Hint, ...], where: str, settings: Settings, config: Config, brokers: int) -> Iterator[Finding]:
    """Apply rules to one broker or topic."""
    for hint in hints:
        yield hint.judge(where, settings, config, brokers)
