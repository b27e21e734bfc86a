"""The shop's use cases. Each may be repeated by its client, with the same request id, after whatever failure.

There is no registry, no retry and no locking here: that is what `Entities` is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from kafka_persist import Entities, Serializer, event_context

from .orders import Order, cancel, give_back, order_type, pay, place, reject
from .orders import request as request_order
from .stock import OutOfStock, receive, release, reserve, stock_type

SERIALIZER = Serializer()
ORDER = order_type(SERIALIZER)
STOCK = stock_type(SERIALIZER)
PRICES = {"tea": 450, "cake": 320, "kettle": 120_000}


class NotSold(LookupError):  # noqa: N818 - named as the state
    """Nobody sells this article."""


class Shop:
    """What web handlers, message consumers and tests call."""

    def __init__(self, entities: Entities) -> None:
        self._entities = entities
        self._turns: dict[str, trio.Lock] = {}  # two tasks at one order would undo each other's steps

    async def receive(self, request: str, article: str, count: int) -> int:
        """Take in new pieces of an article; how many are free then."""
        with event_context(correlation_id=request):
            return await self._entities.execute_once(STOCK, article, request, receive, count)

    async def place(self, request: str, order: str, customer: str, lines: Mapping[str, int]) -> int:
        """Place an order: all of its articles are set aside, or none. What it costs.

        Raises:
            NotSold: an article that nobody sells.
            OutOfStock: nothing is set aside.
            NotPossible: there is another order of this number.
        """
        if unknown := lines.keys() - PRICES.keys():
            raise NotSold(f"not sold here: {', '.join(sorted(unknown))}")
        cents = sum(PRICES[article] * count for article, count in lines.items())
        with event_context(correlation_id=request):
            await self._entities.execute(ORDER, order, request_order, customer, dict(lines), cents)
            found = await self.go_on(order)
        if found.status == "rejected":
            raise OutOfStock(found.reason)
        return cents

    async def go_on(self, order: str) -> Order:
        """Do what is missing of an order that was requested: the saga.

        Each step may be repeated. Whoever died in between has left `Requested` or `Rejected` as the order's last event, so it is
        known that something is missing, and `Finisher` comes here. Where an article is out of stock, the order is rejected, and
        then what was set aside is given back.
        """
        turn = self._turns.setdefault(order, trio.Lock())
        try:
            async with turn:
                return await self._go_on(order)
        finally:
            if not turn.locked():  # nobody waits for it either
                self._turns.pop(order, None)

    async def _go_on(self, order: str) -> Order:
        found = await self._entities.state(ORDER, order)
        if found.status == "requested":
            await self._entities.execute(ORDER, order, *await self._decided(order, found))
            found = await self._entities.state(ORDER, order)
        if found.status == "rejecting":
            await self._release(order, found.lines)
            await self._entities.execute(ORDER, order, give_back)
            found = await self._entities.state(ORDER, order)
        return found

    async def _decided(self, order: str, found: Order) -> tuple[Any, ...]:
        """Set everything aside; the command that follows from it, with its arguments."""
        try:
            for article, count in found.lines.items():
                await self._entities.execute(STOCK, article, reserve, order, count)
        except OutOfStock as error:
            return reject, str(error)
        return place, found.customer, found.lines, found.owed

    async def pay(self, request: str, order: str, cents: int) -> int:
        """Pay for an order; what is still owed."""
        with event_context(correlation_id=request):
            return await self._entities.execute_once(ORDER, order, request, pay, cents)

    async def cancel(self, request: str, order: str, reason: str) -> None:
        """Cancel an order, and give back what was set aside for it."""
        with event_context(correlation_id=request):
            await self._entities.execute(ORDER, order, cancel, reason)
            state = await self._entities.state(ORDER, order)
            await self._release(order, state.lines)

    async def free(self, article: str) -> int:
        """How many pieces of an article nobody has ordered."""
        return (await self._entities.state(STOCK, article)).free

    async def _release(self, order: str, lines: Mapping[str, int]) -> None:
        for article in lines:
            await self._entities.execute(STOCK, article, release, order)
