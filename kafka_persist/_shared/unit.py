"""Writes of commands that belong together: they are stored in their order, and none behind one that is not.

Each moves the position in the command topic. Stored without one before it, it would take that one's command for done.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from .._journal.batch import Result
from ..errors import BrokerError, PersistenceError


@attrs.define(eq=False)
class Unit:
    """The writes of a batch of commands.

    Attributes:
        failure: why one of them is not stored, and so none of those behind it.
    """

    failure: PersistenceError | None = None

    def failed(self, result: Result) -> None:
        """One of them has this result, which is not that it is stored."""
        if self.failure is None and result is not None:
            self.failure = result if isinstance(result, PersistenceError) else _not_sent()


def refusal_in(unit: Unit | None, refusal: PersistenceError | None) -> PersistenceError | None:
    """Why a write of a unit may not be stored: by its own `refusal`, or that of one before it."""
    if unit is None:
        return refusal
    unit.failed(refusal)
    return unit.failure


def note_result(units: Iterable[Unit | None], result: Result) -> None:
    """The writes of a record have their result."""
    for unit in units:
        if unit is not None:
            unit.failed(result)


def _not_sent() -> PersistenceError:
    return BrokerError("an earlier command of the same batch was too large for the broker; this one was not sent")
