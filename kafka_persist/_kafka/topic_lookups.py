"""What is asked about user-defined topics, with clients of its own, in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import trio

from ..driver import Log
from .errors import translated
from .lookups import Lookups, partitions_of
from .offsets import committed_of, ends_of, starts_of

T = TypeVar("T")

LOOKUP_SECONDS: Final = 10.0
LOOKUPS: Final = 4
"""Threads with look-ups, those included whose caller has left; more wait for one of these."""


class TopicLookups:
    """Asks where partitions begin and end, and where the group is in them."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._lookups = Lookups(config)
        self._limiter = trio.CapacityLimiter(LOOKUPS)

    async def look_up(self, question: Callable[[], T]) -> T:
        """Call one of the following, which block, in a thread.

        Raises:
            PersistenceError: as `question`.

        Cancellation: the caller leaves at once; the thread ends by the question's own time limit.
        """
        return await trio.to_thread.run_sync(question, abandon_on_cancel=True, limiter=self._limiter)

    def partitions_of(self, topics: Iterable[str]) -> Sequence[Log]:
        """All partitions of the topics; blocks.

        Raises:
            PersistenceError: the broker did not answer, or a topic is missing.
        """
        return self._lookups.ask(lambda client: partitions_of(client, topics, LOOKUP_SECONDS))

    def starts(self, logs: Iterable[Log]) -> dict[Log, int]:
        """The first offset of each partition; blocks.

        Raises:
            PersistenceError: a broker did not answer.
        """
        with translated("looking up where user-defined topics begin"):
            return self._lookups.ask(lambda client: starts_of(client, logs, LOOKUP_SECONDS))

    def ends(self, logs: Iterable[Log]) -> dict[Log, int]:
        """The end of each partition now; blocks. Raises as `starts`."""
        with translated("looking up where user-defined topics end"):
            return self._lookups.ask(lambda client: ends_of(client, logs, LOOKUP_SECONDS))

    def committed(self, logs: Iterable[Log]) -> dict[Log, int | None]:
        """The group's committed positions, None where there is none; blocks. Raises as `starts`."""
        with translated("looking up the positions of the group"):
            return self._lookups.ask(lambda client: committed_of(client, logs, LOOKUP_SECONDS))
