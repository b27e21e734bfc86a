"""Calls of one id in the order in which they were made; a call of several ids waits until it is the first for each."""

from collections import deque
from contextlib import asynccontextmanager

import attrs
import trio


@attrs.define(eq=False)
class Ticket:
    missing: int
    called: trio.Event = attrs.field(factory=trio.Event)


class Turns:
    def __init__(self):
        self.queues = {}

    @asynccontextmanager
    async def of(self, *ids):
        """Take a place in each queue before the first yield, and wait to be the first everywhere."""
        ids = set(ids)
        ticket = Ticket(len(ids))
        for name in ids:
            self.join(self.queues.setdefault(name, deque()), ticket)
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            if ids:
                await ticket.called.wait()
            yield
        finally:
            self.leave(ids, ticket)

    def join(self, queue, ticket):
        queue.append(ticket)
        if queue[0] is ticket:
            self.is_first(ticket)

    def is_first(self, ticket):
        ticket.missing -= 1
        if not ticket.missing:
            ticket.called.set()

    def leave(self, ids, ticket):
        for name in ids:
            queue = self.queues[name]
            was_first = queue[0] is ticket
            queue.remove(ticket)
            if not queue:
                del self.queues[name]
            elif was_first:
                self.is_first(queue[0])
