"""What a publisher works with; made by the journal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import AbstractAsyncContextManager

import attrs

from .._core.chain import Chain
from .._journal.idlog import IdLog
from ..abc import ReplayChannel
from ..model import PersistentRepr
from .mapping import Topics


@attrs.frozen(kw_only=True)
class Means:
    """What a publisher works with.

    Attributes:
        spawn: starts ``async_fn(*args)`` in the journal's nursery; False if that is closed.
        read: opens the events of an id from a number on, up to the head as it is then.
        look: judges what came to an id's log since the last look.
        topics_of: where an event goes.
        encode: an event as an entry of the journal.
        prepare: makes sure that topics may be written to.
        forget: lets `prepare` look again.
        reliable: False for "fire-and-forget": what fails is not sent again.
        max_in_flight: records handed over and not confirmed.
    """

    spawn: Callable[..., bool]
    read: Callable[[IdLog, int], AbstractAsyncContextManager[ReplayChannel]]
    look: Callable[[IdLog], Awaitable[Chain]]
    topics_of: Callable[[IdLog, PersistentRepr], Topics]
    encode: Callable[[PersistentRepr], bytes]
    prepare: Callable[[Collection[str]], Awaitable[None]]
    forget: Callable[[Iterable[str]], None]
    reliable: bool
    max_in_flight: int
