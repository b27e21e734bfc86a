"""The error tree: one root, a family for each party at fault, and messages that say what to do next.

* `UsageError`: the caller did something that cannot work. Nothing was stored.
* `WriteError`: the fate of a write (fenced: certainly not stored; unknown: a new claim decides).
* `BrokerError`: the broker, the network or the topic's settings. `retriable` says whether waiting may help.
* `StoredDataError`: what is stored is not what was written. It is never retried, and never skipped silently.
* `ReadModelError`: the database of a projection's read model. `retriable` says whether waiting may help.

Foreign exceptions (librdkafka, kazoo, cbor2) never leave the library.

Here are the types, and what is certain and to be done of each. The sentence stands where it is raised: of a fenced or unknown
write in `_journal.idlog` and `_shared.log`, of what Kafka answered in `_kafka.errors`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias

import trio

if TYPE_CHECKING:
    from .model import Rejection, SnapshotMetadata
    from .publishing import PendingReport

    WriteResult: TypeAlias = "Rejection | PersistenceError | None"


def printable(text: str, limit: int = 80) -> str:
    """Quote `text` for a one-line message: control characters escaped, cut after `limit` characters."""
    shown = text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"
    return ascii(shown) if not shown.isprintable() else repr(shown)


class PersistenceError(Exception):
    """Root of all errors that this library raises.

    Attributes:
        persistence_id: the id that it is about; None if it is about no id, or about many.
        topic: the topic; None likewise.
        offset: the place in the log; None if there is no single place.
    """

    retriable: ClassVar[bool] = False
    """Whether the same call may succeed later although nobody changed the program or the data."""

    certain: ClassVar[str] = ""
    """What is known for certain when this error is raised; "" where the message alone tells."""

    next_step: ClassVar[str] = ""
    """What to do next; "" where the message alone tells."""

    persistence_id: str | None = None
    topic: str | None = None
    offset: int | None = None

    def about(self, persistence_id: str | None = None, topic: str | None = None, offset: int | None = None) -> Self:
        """Note what this error is about, unless that is known already; returns the error."""
        self.persistence_id = persistence_id if self.persistence_id is None else self.persistence_id
        self.topic = topic if self.topic is None else self.topic
        self.offset = offset if self.offset is None else self.offset
        return self


# --- the caller's fault ------------------------------------------------------------------------------------------


class UsageError(PersistenceError):
    """The call cannot work as it was made; nothing was stored."""


class ConfigError(UsageError, ValueError):
    """A configuration key or value is unknown, illegal or contradicts another one."""


class InvalidPersistenceId(UsageError, ValueError):  # noqa: N818 - named as the state, like the standard KeyError family
    """The persistence id is empty, too long, not encodable, or reserved for topics of another role."""


class PersistenceIdCollision(UsageError):  # noqa: N818
    """The id's topic already belongs to another id (only with ``naming = "seed"``), or is a user-defined topic."""


class SequenceNrConflict(UsageError, ValueError):  # noqa: N818
    """A write does not start above the highest sequence number of its id; nothing of it was stored."""


class UnsupportedOperation(UsageError):  # noqa: N818
    """The store declares that it cannot do this (see its `capabilities`); nothing was changed."""


class SerializationError(UsageError, ValueError):
    """A value cannot be encoded: its type is not registered, or a field has no CBOR form."""


class EntityAlreadyOpen(UsageError):  # noqa: N818
    """An entity or view of this name is already open in this `Persistence`; share that one instead."""


class EvolveFailed(UsageError):  # noqa: N818
    """The function `evolve` raised for an event (its exception is the cause) or returned None. Nothing was stored.

    While persisting: do not persist such an event. While recovering: the event is in the journal forever, so fix
    `evolve` until it takes every event that was ever stored.
    """


class ProjectionFailed(UsageError):  # noqa: N818 - named as the state, like `EvolveFailed`
    """A projection's function, or its store, raised while events were applied; that exception is the cause.

    Nothing of the batch was stored: the read model is as it was before.

    Attributes:
        partition: the event's partition of `topic`; None, like all of these, if the store did not say which event it was.
        sequence_nr: the event's number.
    """

    certain = "Nothing of the batch was stored; the read model and its positions are as they were before."
    next_step = (
        "Fix the function (or the store) for the event that the message names; the projection then continues with it."
    )
    partition: int | None = None
    sequence_nr: int | None = None


class ProjectionFenced(UsageError):  # noqa: N818 - named as the state, like `WriterFenced`
    """Another process has taken partitions of the read model over, so this one may not change it any more."""

    certain = "Nothing of the batch was applied here; the process that has the partitions now applies it."
    next_step = "Run one projection for each read model, or give all of them the same `group`."


class AlreadyExecuted(UsageError):  # noqa: N818 - named as the state
    """A command with this idempotency key took effect before, and what it returned then was deleted since."""

    certain = "The command took effect exactly once; this call has stored nothing."
    next_step = "Take it for done. Keep more events (keep_events) if clients repeat commands as late as this."


class CommandRefused(UsageError):  # noqa: N818 - named as the state
    """The owner of a shard refused a command: its function raised, or what it decided cannot be stored.

    Attributes:
        kind: the name of the exception's type, as in ``"InsufficientFunds"``.
        reason: its text.
    """

    certain = "Nothing of the command is stored."

    def __init__(self, message: str, kind: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.kind: str = kind
        self.reason: str = reason


class EventRejected(UsageError, ValueError):  # noqa: N818
    """The journal certainly did not store these events (too large, not serializable); the entity goes on.

    Attributes:
        rejection: the journal's reason. The sequence numbers of the rejected events are not used again.
    """

    def __init__(self, message: str, rejection: Rejection) -> None:
        super().__init__(message)
        self.rejection = rejection


class EventMappingFailed(UsageError, ValueError):  # noqa: N818
    """The `EventTopicMapper` raised, or gave a name that no user-defined topic may have. The write is rejected."""


class StoreClosed(UsageError, trio.ClosedResourceError):  # noqa: N818
    """The journal, store, entity or view was used after its ``async with`` block ended."""


# --- outcomes of a write -----------------------------------------------------------------------------------------


class WriteError(PersistenceError):
    """A write that did not simply succeed.

    Attributes:
        results: one element per `AtomicWrite` of the call, in order: None (stored), a `Rejection`, or the
            `PersistenceError` of that write. Empty if the error came before any write was sent.
    """

    def __init__(self, message: str, *, results: Sequence[WriteResult] = ()) -> None:
        super().__init__(message)
        self.results: tuple[WriteResult, ...] = tuple(results)


class WriterFenced(WriteError):  # noqa: N818
    """Another writer took the id over, or this writer never claimed it; certainly not stored.

    Stop this entity. To go on, claim the id again (open the entity again), which fences the other writer.
    """

    certain = "The write is not stored and never will be; what was acknowledged before is."
    next_step = "Find out who took the id over; open the entity again only if this process is to have it back."


class WriteOutcomeUnknown(WriteError):  # noqa: N818
    """The write may or may not be stored; this writer is finished for the id.

    To recover, open the entity again: its new claim decides the question once, for all readers.
    """

    certain = "Everything acknowledged before is stored; this write is stored wholly, or not at all."
    next_step = (
        "Open the entity again: its claim decides for every reader. Look at the state before repeating the command."
    )


class ClaimOutcomeUnknown(WriteOutcomeUnknown):
    """A claim or a deletion may or may not have landed. It stores no event, and trying again is safe."""

    retriable = True
    certain = "It stored no event and lost none; everything acknowledged before is stored."
    next_step = "Try again: open the entity, or delete, once more."


# --- the broker's answer -----------------------------------------------------------------------------------------


class BrokerError(PersistenceError):
    """The broker, the network, or the settings of a topic."""


class ConnectError(BrokerError, ConnectionError):
    """No broker answered within the configured time; the message carries the client's last reasons."""

    retriable = True


class ClusterNotReady(BrokerError):  # noqa: N818 - named as the state
    """A broker answered that it cannot do this now: there is no leader, no controller, or there are too few replicas."""

    retriable = True
    certain = "Nothing was changed by this call."
    next_step = "Try again; if it lasts, look at the brokers: how many of the partition's replicas are up?"


class AuthenticationError(BrokerError):
    """The broker refused the credentials, or TLS could not be set up."""


class AuthorizationError(BrokerError, PermissionError):
    """The principal lacks an ACL for the topic or operation that the message names."""


class TopicSettingsRefused(BrokerError):  # noqa: N818
    """A topic's settings would lose data (named in the message) and the policy refuses them."""


class TopicMissing(BrokerError, LookupError):  # noqa: N818
    """A topic does not exist and its creation is not allowed."""


class RecoveryStalled(BrokerError, TimeoutError):  # noqa: N818
    """Reading made no progress within the configured time, although the log has more records."""

    retriable = True
    certain = "Nothing was changed, and what was returned so far is right but incomplete."
    next_step = "Look at the partition's leader and at open transactions on the topic; then try again."


class WriteNotSent(BrokerError, TimeoutError):  # noqa: N818
    """A write waited for its turn longer than the configured time and was not handed over; certainly not stored."""

    retriable = True
    certain = "Certainly not stored: it was never sent, and never will be."
    next_step = "Try again later; if it happens often, write less at a time, or look at how fast the brokers answer."


class CommandExpired(BrokerError, TimeoutError):  # noqa: N818
    """The owner of a shard came to a command after its time, and did not execute it."""

    certain = "Nothing of the command is stored."
    retriable = True


class PublicationPending(BrokerError):  # noqa: N818
    """Events are stored, but not yet in their user-defined topics, so what needs them there was not done."""

    retriable = True


class SweepIncomplete(BrokerError):  # noqa: N818
    """Not all ids of a sweep could be published; all others were.

    Attributes:
        failures: the error of each id that failed; a topic's name stands for an id that could not be read.
        report: what was found and published of the others.
    """

    certain = "All ids that `failures` does not name are published."
    next_step = "Look at each of `failures`; if all of them are retriable, sweep again."

    def __init__(self, message: str, failures: Mapping[str, PersistenceError], report: PendingReport) -> None:
        super().__init__(message)
        self.failures = failures
        self.report = report


class JournalBroken(BrokerError, trio.BrokenResourceError):  # noqa: N818
    """A background part of the store failed; its cause is chained. Leave the block and open the store again."""


class IndexUnusable(BrokerError):  # noqa: N818
    """The local index of a shared topic cannot be used (in use, full, not writable). Nothing that is stored is affected."""


# --- what is stored ----------------------------------------------------------------------------------------------


class StoredDataError(PersistenceError):
    """What is stored cannot be what was written. This id fails; other ids go on."""


class CorruptRecord(StoredDataError):  # noqa: N818
    """A record does not decode, fails its checksum, or contradicts the record that it extends."""

    certain = "No event after this record was returned; other ids are not affected."
    next_step = (
        "Compare the partition's replicas and restore it from a sound one; find out who else writes to the topic."
    )


class UnsupportedEnvelope(StoredDataError):  # noqa: N818
    """A record was written in a format version that this release does not know; upgrade the library."""


class ForeignEvent(StoredDataError):  # noqa: N818
    """A record in this id's log belongs to another id."""

    certain = "No event of the other id was returned, and none after its record."
    next_step = "Give each id its own topic, and find out who else writes to this one."


class UnknownManifest(StoredDataError, LookupError):  # noqa: N818
    """A stored payload names a type or version that is not registered with this store's serializer."""


class PayloadUnreadable(StoredDataError, ValueError):  # noqa: N818
    """A stored payload of a registered type cannot be turned back into that type."""


class JournalTruncated(StoredDataError):  # noqa: N818
    """The log is shorter than this process knows it was: the broker lost acknowledged records."""

    certain = "The broker lost records that it had acknowledged; this process no longer writes to the id."
    next_step = "Stop all writers of the id and compare the replicas; a longer one has what is missing (docs: runbook)."


class JournalHeadLost(StoredDataError):  # noqa: N818
    """Events that nobody deleted are missing at the start of the log (retention, or a foreign deletion)."""

    certain = "Events are missing that nobody deleted through this library; the rest was not returned as if it were everything."
    next_step = "Recover from a snapshot that covers what is missing, or restore the topic; set retention.ms to -1."


class EventsDeleted(StoredDataError):  # noqa: N818
    """Events that the state needs were deleted, and no snapshot covers them.

    Restore a snapshot, or open with ``skip_deleted=True`` if the state may begin with what is left.
    """


class SnapshotUnreadable(StoredDataError):  # noqa: N818
    """The newest matching snapshot exists but cannot be read; never reported as "no snapshot".

    Attributes:
        metadata: its sequence number and timestamp, if the store can tell which one it is.
    """

    metadata: SnapshotMetadata | None = None


# --- the database of a read model --------------------------------------------------------------------------------


class ReadModelError(PersistenceError):
    """The database of a projection's read model; the driver's exception is the cause."""


class ReadModelUnavailable(ReadModelError, ConnectionError):  # noqa: N818 - named as the state
    """The database cannot be reached, ended the connection, or could not complete the transaction now."""

    retriable = True
    certain = "The transaction took effect completely or not at all, and its positions with it: repeating it is safe."
    next_step = (
        "Try again (`ErrorPolicy` does); if it lasts, look at the database: does it run, has it free connections?"
    )


class ReadModelRefused(ReadModelError, PermissionError):  # noqa: N818 - named as the state
    """The database answers, and refuses: the password, a missing database, table or column, a missing privilege."""

    certain = "Nothing was changed by this call, and no event was skipped for it."
    next_step = "Change what the message names, on the database or in the program; then start the projection again."
