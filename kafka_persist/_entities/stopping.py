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


def retired(persistence_id: str) -> WriterFenced:
    """The error of those who waited for an entity that was taken over while it was opened."""
    return WriterFenced(
        f"{printable(persistence_id)} was taken over while it was being opened. Certainly nothing was stored; the same call may "
        "succeed later"
    ).about(persistence_id)


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
