"""Optional adapters of a subject: they unlock the fault and the corruption cases."""

from __future__ import annotations

import abc
from contextlib import AbstractAsyncContextManager

from kafka_persist.abc import Journal, SnapshotStore

from .errors import NotApplicable


class Faults(abc.ABC):
    """Opens the subject on a backend of its own and makes that backend misbehave.

    A subject gives the suite a callable that returns an asynchronous context manager of one of these. Each method
    returns when the fault is in place.

    Attributes:
        delivery_time: seconds after which the store gives up on a write (its own configured bound).
    """

    delivery_time: float = 1.0

    @abc.abstractmethod
    def open_journal(self) -> AbstractAsyncContextManager[Journal]:
        """Open a journal on this backend; several at once, and again later with the data kept."""

    def open_snapshot_store(self) -> AbstractAsyncContextManager[SnapshotStore]:
        """Open a snapshot store on this backend, if the subject has one.

        Raises:
            NotApplicable: it has none.
        """
        raise NotApplicable("the faults adapter opens no snapshot store")

    @abc.abstractmethod
    async def lose_acknowledgement(self) -> None:
        """Let the next write reach the backend, and its answer never reach the store."""

    @abc.abstractmethod
    async def delay_write(self) -> None:
        """Keep the next write away from the backend until `land` is called; the store hears nothing."""

    @abc.abstractmethod
    async def land(self) -> None:
        """Let the delayed write reach the backend now; return when it has."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Stop the backend: every request fails or is not answered."""

    @abc.abstractmethod
    async def start(self) -> None:
        """Start the backend again, with its data."""

    @abc.abstractmethod
    async def hold(self, persistence_id: str | None = None) -> None:
        """Make the backend slow: it answers no request (of one id, or of any) until `release`.

        Raises:
            NotApplicable: this adapter cannot hold one id alone.
        """

    @abc.abstractmethod
    async def release(self) -> None:
        """Let the backend answer again, everything that waits included."""


class Backdoor(abc.ABC):
    """Damages what is stored behind the store's back; the store is closed meanwhile."""

    @abc.abstractmethod
    async def corrupt_event(self, persistence_id: str, sequence_nr: int) -> None:
        """Make one stored event undecodable."""

    async def rename_event_type(self, persistence_id: str, sequence_nr: int) -> None:
        """Make one stored event name a type that no serializer knows.

        Raises:
            NotApplicable: stored events of this subject name no type.
        """
        raise NotApplicable("the backdoor cannot rename the type of a stored event")

    async def corrupt_snapshot(self, persistence_id: str, sequence_nr: int) -> None:
        """Make one stored snapshot undecodable.

        Raises:
            NotApplicable: the subject has no snapshot store.
        """
        raise NotApplicable("the backdoor reaches no snapshot store")
