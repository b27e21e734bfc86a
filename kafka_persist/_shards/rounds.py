"""One round of a batch: its commands run at the same time, and meet when they have something to store.

An entity's command ends in a call of `Journal.write`. In a round that call does not go to the journal: it waits until each
command of the round either wants to store something or is done. Then all of them are one write.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Final

import trio

from .._journal.batch import Result
from ..errors import BrokerError, PersistenceError
from ..model import AtomicWrite, Rejection

CURRENT: Final[ContextVar[tuple[Round, int] | None]] = ContextVar("kafka_persist_round", default=None)
"""The round that the running task belongs to, and the offset of its command."""


class Round:
    """The barrier.

    Args:
        count: how many commands take part.
    """

    def __init__(self, count: int) -> None:
        self.writes: dict[int, AtomicWrite] = {}
        """What is to be stored, by the offset of its command."""
        self._running = count
        self._met = trio.Event()
        self._results: dict[int, Result] | None = None
        self._decided = trio.Event()
        if not count:
            self._met.set()

    async def wait_met(self) -> None:
        """Wait until all commands are done, or want to store something."""
        await self._met.wait()

    def decide(self, results: dict[int, Result]) -> None:
        """Let those go on that want to store something: each with its result. Who has none is told that nothing was stored."""
        self._results = results
        self._decided.set()

    async def write(self, offset: int, write: AtomicWrite) -> Sequence[Rejection | None]:
        """Store something, together with the others.

        Raises:
            PersistenceError: see `Journal.write`.
        """
        self.writes[offset] = write
        self.arrive()
        await self._decided.wait()
        assert self._results is not None
        result = self._results[offset] if offset in self._results else _not_stored()
        if isinstance(result, PersistenceError):
            raise result
        return [result]

    def arrive(self) -> None:
        """A command is done, or wants to store something; called once for each."""
        self._running -= 1
        if not self._running:
            self._met.set()


def _not_stored() -> PersistenceError:
    return BrokerError("the batch of commands was given up: certainly not stored; they are executed later")
