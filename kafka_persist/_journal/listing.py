"""The ids of a journal, one by one: a task of the journal's nursery looks into the topics, the channel hands out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import trio

from .._core.chain import Chain
from .._core.follower import Follower
from ..driver import Driver, Log
from ..errors import JournalBroken, PersistenceError, StoreClosed, StoredDataError
from .reading import judged

FIRST_RECORDS = 4
"""How many records of a log usually tell whether it has events: a claim or two, then events."""


async def has_events(driver: Driver, log: Log, persistence_id: str, highest: Callable[[str], Awaitable[int]]) -> bool:
    """Whether an id was ever written: an entity that was only opened has a log, but no events.

    A log that is damaged has been written; whoever reads it learns the rest.
    """
    bounds = (await driver.scan(log, None, 0)).range
    if bounds.start > 0:
        return True  # only a deletion cuts
    scan = await driver.scan(log, 0, min(bounds.end, FIRST_RECORDS))
    follower = Follower(Chain(persistence_id))
    try:
        for _ in judged(follower, log, scan.records, bounds.start):
            pass
        return follower.highest > 0 or (scan.next_offset < bounds.end and await highest(persistence_id) > 0)
    except StoredDataError:
        return True


class IdChannel(trio.abc.ReceiveChannel[str]):
    """The receiving end of a list of ids; an error of the looking task is raised, never taken for the end."""

    def __init__(self, ids: trio.MemoryReceiveChannel[str]) -> None:
        self._ids = ids
        self.failure: PersistenceError | None = None

    async def receive(self) -> str:
        """Return the next id.

        Raises:
            trio.EndOfChannel: there are no more.
            StoreClosed: the list's block, or the journal, has ended.
            BrokerError: the topics cannot be listed or read.
        """
        try:
            return await self._ids.receive()
        except trio.EndOfChannel:
            if self.failure is not None:
                raise self.failure from self.failure.__cause__
            raise
        except trio.ClosedResourceError:
            raise StoreClosed("this list is closed; receive inside its `async with` block") from None

    async def aclose(self) -> None:
        """Close; idempotent."""
        await self._ids.aclose()


@asynccontextmanager
async def listed(
    look: Callable[[Callable[[str], Awaitable[None]]], Awaitable[Mapping[str, PersistenceError]]],
    spawn: Callable[..., bool],
) -> AsyncIterator[IdChannel]:
    """Hand out what ``look(found)`` finds; leaving the block ends it and waits for it.

    Args:
        look: calls ``await found(persistence_id)`` for each id; gives the errors of topics that it cannot tell about,
            the first of which is raised behind the last id.
        spawn: starts a task in the journal's nursery; False if that is closed.
    """
    send, receive = trio.open_memory_channel[str](0)
    channel = IdChannel(receive)
    scope, ended = trio.CancelScope(), trio.Event()

    async def work() -> None:
        try:
            with scope, send:
                channel.failure = next(iter((await look(send.send)).values()), None)
        except trio.BrokenResourceError:
            pass  # the receiver left
        except PersistenceError as error:
            channel.failure = error
        except trio.Cancelled:
            channel.failure = StoreClosed("the journal was closed while its ids were listed")
            raise
        except Exception as error:  # noqa: BLE001 - it belongs to this list, not to the journal's block
            channel.failure = JournalBroken(f"the list of ids failed: {error!r}")
            channel.failure.__cause__ = error
        finally:
            ended.set()

    if not spawn(work):
        raise StoreClosed("the journal is closed")
    try:
        yield channel
    finally:
        receive.close()
        scope.cancel(reason="the list was left")
        with trio.CancelScope(shield=True):  # bounded: what it waits for looks at the cancellation
            await ended.wait()
