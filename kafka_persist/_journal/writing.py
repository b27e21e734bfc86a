"""The way of a write call: encoded, admitted, handed over to its ids' logs, answered. All within its time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial

import attrs
import trio

from .._core.chain import Chain
from ..model import AtomicWrite, Rejection
from .batch import Batch, Item
from .deadlines import Deadlines
from .encoding import Encoder, check_numbers
from .gate import Gate
from .idlog import IdLog


@attrs.frozen(kw_only=True)
class Writing:
    """What a journal's write calls share.

    Attributes:
        encoder: makes a `Batch` of a call.
        gate: bounds what waits.
        deadlines: ends the waiting of calls whose time is up.
        check_open: raises if the journal is closed.
        look: the chain of a log as of now; called within a turn.
        published: waits for the publication of what was stored, if so configured.
    """

    encoder: Encoder
    gate: Gate
    deadlines: Deadlines
    check_open: Callable[[], None]
    look: Callable[[IdLog], Awaitable[Chain]]
    published: Callable[[Batch], Awaitable[None]]

    async def write(self, writes: Sequence[AtomicWrite]) -> Sequence[Rejection | None]:
        """See `KafkaJournal.write`."""
        batch = self.encoder.encode(writes)
        try:
            if not batch.items:
                await trio.lowlevel.checkpoint()
            else:
                self.deadlines.add(batch)
                await self._write(batch)
                await self.published(batch)
            return batch.answer()
        finally:
            self.deadlines.remove(batch)
            batch.close()

    async def _write(self, batch: Batch) -> None:
        """Hand the writes over as soon as there is room, and wait for their results."""
        strangers = _strangers(batch.items)
        hand_over = partial(self._hand_over, batch, strangers)
        if not await self.gate.enter(batch.size, batch.send_by, _nothing if strangers else hand_over):
            raise batch.too_late(batch.items[0].idlog.chain.persistence_id)
        try:
            if strangers:
                await self._meet(strangers, batch, hand_over)
            await batch.wait()
        finally:
            self.gate.leave(batch.size)

    async def _meet(self, strangers: Sequence[IdLog], batch: Batch, hand_over: Callable[[], None]) -> None:
        """Look at the heads of `strangers`, then hand over while nobody else can."""
        with trio.move_on_at(batch.send_by):
            async with AsyncExitStack() as turns:
                for idlog in sorted(strangers, key=lambda each: each.chain.persistence_id):  # one order: no deadlock
                    await turns.enter_async_context(idlog.turn())
                    await self.look(idlog)
                hand_over()
        if not batch.entered:
            raise batch.too_late(strangers[0].chain.persistence_id)

    def _hand_over(self, batch: Batch, owned: Sequence[IdLog]) -> None:
        """Give the writes to their ids' logs, all or (a wrong sequence number) none; `owned` are those whose turn it has."""
        self.check_open()
        if trio.current_time() > batch.send_by:
            raise batch.too_late(batch.items[0].idlog.chain.persistence_id)
        groups: dict[IdLog, list[Item]] = {}
        for item in batch.items:
            groups.setdefault(item.idlog, []).append(item)
        accepted: list[tuple[IdLog, list[Item]]] = []
        for idlog, items in groups.items():
            refusal = idlog.refusal(items[0].writer)
            if refusal is None:
                check_numbers(idlog, items, first=idlog in owned)
                accepted.append((idlog, items))
            else:
                for item in items:
                    item.settle(refusal)
        batch.entered = True
        for idlog, items in accepted:
            idlog.enqueue(items, first=idlog in owned)  # a claim that was called later must not come in between


def _strangers(items: Iterable[Item]) -> list[IdLog]:
    """The logs that this journal does not know, or knows with another writer."""
    logs = {item.idlog: item.writer for item in items}
    return [idlog for idlog, writer in logs.items() if idlog.chain.head.writer != writer]


def _nothing() -> None:
    """Hand nothing over yet."""
