"""When snapshots are saved, and what is deleted behind them: a policy without I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from ..errors import UsageError
from .fold import Fold


def _at_least(low: int) -> Any:
    def check(_policy: object, attribute: attrs.Attribute[int | None], value: int | None) -> None:
        if value is None:
            return
        if type(value) is not int or value < low:
            raise UsageError(f"{attribute.name} must be a whole number from {low} on, or None; not {value!r}")

    return check


@attrs.frozen(kw_only=True)
class Retention:
    """The policy of one entity or view.

    Attributes:
        snapshot_every: save a snapshot whenever so many events came since the last one.
        snapshot_when: save one after an event for which ``snapshot_when(state, event, sequence_nr)`` is true.
        snapshot_on_passivation: save one when the registry closes the entity, if there are events that no snapshot has.
        keep_snapshots: so many of the newest snapshots stay; None leaves that to the store.
        keep_events: events below the newest snapshot that stay when it was saved; None deletes no events.
    """

    snapshot_every: int | None = attrs.field(default=None, validator=_at_least(1))
    snapshot_when: Callable[[Any, Any, int], bool] | None = None
    snapshot_on_passivation: bool = False
    keep_snapshots: int | None = attrs.field(default=None, validator=_at_least(1))
    keep_events: int | None = attrs.field(default=None, validator=_at_least(0))

    def __attrs_post_init__(self) -> None:
        if self.snapshot_when is not None and not callable(self.snapshot_when):
            raise UsageError(f"snapshot_when must be a function of (state, event, number), not {self.snapshot_when!r}")
        if not self.saves and (self.keep_events is not None or self.keep_snapshots is not None):
            raise UsageError(
                "keep_events and keep_snapshots take effect when a snapshot was saved, and none ever is: give "
                "snapshot_every, snapshot_when or snapshot_on_passivation as well"
            )

    @property
    def saves(self) -> bool:
        """Whether snapshots are ever saved by themselves."""
        return self.snapshot_every is not None or self.snapshot_when is not None or self.snapshot_on_passivation

    def wants(self, fold: Fold[Any], events: Iterable[object], first_nr: int) -> bool:
        """Whether the predicate asks for a snapshot behind one of these events."""
        if self.snapshot_when is None:
            return False
        wanted, state = False, fold.state
        for number, event in enumerate(events, start=first_nr):
            state = fold.next_state(state, number, event)
            wanted |= bool(self.snapshot_when(state, event, number))
        return wanted

    def deletable_to(self, snapshot_nr: int) -> int:
        """The number up to which events can go once a snapshot has been saved; 0 for none."""
        return 0 if self.keep_events is None else max(0, snapshot_nr - self.keep_events)
