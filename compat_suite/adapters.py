"""Optional adapters of a subject: they unlock the fault and the corruption cases."""

from __future__ import annotations

import abc
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import attrs

from kafka_persist.abc import Journal, SnapshotStore

from .capabilities import Level
from .errors import NotApplicable

NEEDED_FROM: Final[dict[str, Level]] = dict.fromkeys(("faults", "backdoor", "elsewhere"), Level.CRASH_SAFE)
"""From which level on an adapter must be given: without it, that level is not shown."""


@attrs.frozen
class Elsewhere:
    """How another process opens the subject on the same data.

    Attributes:
        name: the factory, as ``pkg.module:callable``; the other process imports it.
        arguments: what it is called with; they are pickled.
    """

    name: str
    arguments: tuple[Any, ...] = ()


class Faults(abc.ABC):
    """Opens the subject on a backend of its own and makes that backend misbehave.

    Only `open_journal` must be there. A fault that the backend cannot have, or that the adapter cannot make, stays as it
    is here: it raises `NotApplicable`, and the report says of which cases that is the reason.

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

    async def lose_acknowledgement(self) -> None:
        """Let the next write reach the backend, and its answer never reach the store.

        Raises:
            NotApplicable: this adapter cannot do that.
        """
        raise NotApplicable("the faults adapter has no lose_acknowledgement")

    async def delay_write(self) -> None:
        """Keep the next write away from the backend until `land` is called; the store hears nothing.

        Raises:
            NotApplicable: this adapter cannot do that.
        """
        raise NotApplicable("the faults adapter has no delay_write")

    async def land(self) -> None:
        """Let the delayed write reach the backend now; return when it has.

        Raises:
            NotApplicable: this adapter cannot do that.
        """
        raise NotApplicable("the faults adapter has no land")

    async def stop(self) -> None:
        """Stop the backend: every request fails or is not answered.

        Raises:
            NotApplicable: this adapter cannot do that.
        """
        raise NotApplicable("the faults adapter has no stop")

    async def start(self) -> None:
        """Start the backend again, with its data.

        Raises:
            NotApplicable: this adapter cannot do that.
        """
        raise NotApplicable("the faults adapter has no start")

    async def hold(self, persistence_id: str | None = None) -> None:
        """Make the backend slow: it answers no request (of one id, or of any) until `release`.

        Raises:
            NotApplicable: this adapter cannot hold one id alone.
        """
        raise NotApplicable("the faults adapter has no hold")

    async def release(self) -> None:
        """Let the backend answer again, everything that waits included.

        Raises:
            NotApplicable: this adapter cannot do that.
        """
        raise NotApplicable("the faults adapter has no release")


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
