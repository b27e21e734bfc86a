"""What an entity that has stopped says to every later call."""

from __future__ import annotations

from ..errors import (
    PersistenceError,
    SequenceNrConflict,
    StoredDataError,
    WriteOutcomeUnknown,
    WriterFenced,
    printable,
)


class NotRun(Exception):  # noqa: N818 - never leaves the library
    """A command found the entity stopped by another one: it did not run, and nothing of it is stored."""


class ShardGone(WriterFenced):
    """The shard of an id is not in this process (any more): nothing is wrong, its commands go elsewhere."""


def shard_gone(persistence_id: str) -> ShardGone:
    """The error of those who want an entity whose shard is not here."""
    told = f"the shard of {printable(persistence_id)} is not in this process (any more). Certainly not stored"
    return ShardGone(told).about(persistence_id)


def stopped(persistence_id: str, failure: BaseException) -> PersistenceError:
    """The error of every call after the one that stopped the entity; it says one thing to do, as the first did."""
    told = f"the entity {printable(persistence_id)} stopped: {failure}"
    error: PersistenceError
    if isinstance(failure, StoredDataError):
        error = type(failure)(f"{told}. It cannot be opened again before what is stored is repaired")
    elif isinstance(failure, WriterFenced):
        error = WriterFenced(f"{told}. Leave its `async with` block; only to take the id back, open it again")
    elif isinstance(failure, SequenceNrConflict):
        error = SequenceNrConflict(f"{told}. Leave its `async with` block and open it again")
    else:
        error = WriteOutcomeUnknown(
            f"{told}. Leave its `async with` block and open it again, which decides what is stored"
        )
    if isinstance(failure, PersistenceError):
        error.about(failure.persistence_id, failure.topic, failure.offset)
    return error.about(persistence_id)
