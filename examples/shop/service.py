"""The shop's use cases. Each may be repeated by its client, with the same request id, after whatever failure.

There is no registry, no retry and no locking here: that is what `Entities` is for.
"""

from __future__ import annotations

from collections.abc import Mapping

from kafka_persist import Entities, Serializer, event_context

from .orders import cancel, order_type, pay, place
from .stock import OutOfStock, receive, release, reserve, stock_type

SERIALIZER = Serializer()
ORDER = order_type(SERIALIZER)
STOCK = stock_type(SERIALIZER)
PRICES = {"tea": 450, "cake": 320, "kettle": 120_000}


class Shop:
    """What web handlers, message consumers and tests call."""

    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    async def receive(self, request: str, article: str, count: int) -> int:
        """Take in new pieces of an article; how many are free then."""
        with event_context(correlation_id=request):
            return await self._entities.execute_once(STOCK, article, request, receive, count)

    async def place(self, request: str, order: str, customer: str, lines: Mapping[str, int]) -> int:
        """Place an order: all of its articles are set aside, or none. What it costs.

        Raises:
            KeyError: an article that nobody sells.
            OutOfStock: nothing is set aside.
        """
        cents = sum(PRICES[article] * count for article, count in lines.items())
        with event_context(correlation_id=request):
            try:
                for article, count in lines.items():
                    await self._entities.execute(STOCK, article, reserve, order, count)
            except OutOfStock:
                await self._release(order, lines)  # noqa: ASYNC120 - a client that was cancelled here repeats its request
                raise
            await self._entities.execute_once(ORDER, order, request, place, customer, dict(lines), cents)
        return cents

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
