"""What a command returns: events, or events and a reply."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final, Generic, TypeVar

import attrs

from .errors import UsageError
from .tagging import Tagged

__all__ = ["Reply"]

R_co = TypeVar("R_co", covariant=True)
E_co = TypeVar("E_co", covariant=True)


class Reply(Generic[R_co, E_co]):
    """What a command returns that has something to say: `execute` stores the events and returns the value.

    ``return Reply(balance - cents, Withdrawn(cents))``, or without events: ``return Reply(balance)``.

    Attributes:
        value: what `execute` returns. It is computed before the events are stored, and returned only if they are.
        events: stored in one atomic write.
    """

    __slots__ = ("events", "value")

    def __init__(self, value: R_co, *events: E_co | Tagged[E_co]) -> None:
        self.value: R_co = value
        self.events: tuple[E_co | Tagged[E_co], ...] = events

    def __repr__(self) -> str:
        return f"Reply({', '.join(map(repr, (self.value, *self.events)))})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reply):
            return NotImplemented
        return (self.value, self.events) == (other.value, other.events)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # the value may be anything


@attrs.frozen
class Decision:
    """A command's result, in one form for all kinds.

    Attributes:
        events: what is to be stored, perhaps `Tagged`.
        reply: the command's own answer; None if it gave none.
        replied: whether it gave one.
    """

    events: tuple[Any, ...]
    reply: Any = None
    replied: bool = False


_NOT_EVENTS: Final = (str, bytes, Mapping)


def decide_on(
    state: object, decide: Callable[..., object], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Decision:
    """Run a command.

    Raises:
        UsageError: it returned something else than events or a `Reply`.
        Exception: whatever the command raises.
    """
    decided = decide(state, *args, **kwargs)
    if isinstance(decided, Reply):
        return Decision(decided.events, decided.value, replied=True)
    if isinstance(decided, Iterable) and not isinstance(decided, _NOT_EVENTS):
        return Decision(tuple(decided))
    if inspect.iscoroutine(decided):
        decided.close()  # else Python warns that nobody awaited it
    raise UsageError(
        f"{getattr(decide, '__qualname__', decide)} returned {_described(decided)}; a command returns a list "
        "(or another collection) of events, an empty one for none, or a Reply. Nothing was stored"
    )


def _described(decided: object) -> str:
    """What a command returned, as words of a sentence."""
    if decided is None:
        return "None"
    return "a coroutine" if inspect.iscoroutine(decided) else f"an object of type {type(decided).__name__}"
