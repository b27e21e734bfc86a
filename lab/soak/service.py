"""The process of a service: it drives what users drive. Entities opened on demand, snapshots with retention, views.

Several processes share some ids and take them from each other; new ids come all the time. What is published goes to `projector`.
"""

from __future__ import annotations

import itertools
import random
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import trio

from kafka_persist import Entity, Persistence, open_persistence
from kafka_persist.errors import BrokerError, PersistenceError, WriteOutcomeUnknown, WriterFenced

from ..history import History
from .orders import Orders, service_config
from .plan import CLOSE_TIMEOUT, CONTESTED, LOGS_OF, LOOK_TIMEOUT, PERSIST_TIMEOUT, in_logs
from .process import beat, die_with_parent, until_told
from .stacks import write_on_signals
from .tally import EMPTY, Put, Tally, evolve, next_events, serializer

Account: TypeAlias = Entity[Tally, Put]

FOLLOWED: Final = tuple(in_logs(f"kept-{number}", CONTESTED) for number in range(6))
"""Ids that all services share and views follow: no event of theirs is deleted."""

CUT: Final = tuple(in_logs(f"cut-{number}", CONTESTED) for number in range(10))
"""Ids that all services share, whose events are deleted behind the snapshots."""

VISITORS: Final = 10
VIEWERS: Final = 2
SNAPSHOT_EVERY: Final = 20
KEEP: Final = 10
"""Events behind a snapshot that a deletion leaves."""

NEW: Final = 0.12
AGAIN: Final = 0.25
"""Chances that a visit is to a new id, or to one that was new; otherwise it is to a shared one."""


class Service:
    """Visits entities; what it does is logged.

    Args:
        persistence: where they live.
        history: the log.
        orders: what this process was told.
    """

    def __init__(self, persistence: Persistence, history: History, orders: Orders) -> None:
        self._persistence = persistence
        self._history = history
        self._orders = orders
        self._random = random.Random(f"{orders.seed} {orders.process}")  # noqa: S311 - chances, not secrets
        self._tokens = itertools.count()
        self._own: list[str] = []
        self._open: set[str] = set()

    @property
    def tasks(self) -> list[Callable[[], Any]]:
        """What runs in this process."""
        viewers = [partial(self._follow, number) for number in range(VIEWERS)]
        return [*[self._visit_some] * VISITORS, *viewers, self._load_some]

    # --- entities ----------------------------------------------------------------------------------------------

    async def _visit_some(self) -> None:
        while True:
            pid = self._choose()
            self._open.add(pid)
            try:
                await self._visit(pid)
            except WriteOutcomeUnknown:
                await self._pause(0.1)
            except WriterFenced:
                await self._pause(1)
            except PersistenceError:
                await self._pause(0.5)  # the history says what it was, and the checker whether it may be
            finally:
                self._open.discard(pid)
            await self._pause(self._orders.pause)

    def _choose(self) -> str:
        """An id that is not open here: a new one, or one that was new once, or one that all services share."""
        chance = self._random.random()
        known = [] if chance < NEW else self._own if chance < NEW + AGAIN else [*FOLLOWED, *CUT]
        free = [pid for pid in known if pid not in self._open]
        if free:
            return self._random.choice(free)
        process = self._orders.process
        self._own.append(in_logs(f"{process}-{len(self._own)}", LOGS_OF[process.split(".")[0]]))
        return self._own[-1]

    async def _visit(self, pid: str) -> None:
        writer = str(uuid.uuid4())
        async with opened(self._persistence, self._history, pid, writer) as entity:
            for _ in range(self._random.randrange(1, 8)):
                await self._persist(entity, writer)
                await self._pause(self._orders.pause / 4)
            if self._random.random() < 0.3:
                with self._call("save", pid) as call:
                    call.fields["number"] = (await entity.save_snapshot()).sequence_nr
            if pid in CUT:
                await self._cut(entity)

    async def _persist(self, entity: Account, writer: str) -> None:
        tokens = [f"{self._orders.process}.{next(self._tokens)}" for _ in range(self._random.randrange(1, 6))]
        events = next_events(entity.state, tokens)
        marks = [event.after for event in events]
        fields = {"writer": writer, "first": events[0].number, "marks": marks, "within": PERSIST_TIMEOUT}
        with self._call("write", entity.persistence_id, **fields):
            await entity.persist(*events)

    async def _cut(self, entity: Account) -> None:
        to = (entity.snapshot_sequence_nr or 0) - KEEP
        if to > 0:
            with self._call("delete", entity.persistence_id, to=to):
                await entity.delete_events_to(to)

    # --- views and snapshots -------------------------------------------------------------------------------------

    async def _follow(self, number: int) -> None:
        """A view of one id after the other, each for a while."""
        while True:
            pid = self._random.choice(FOLLOWED)
            try:
                await self._look(pid, f"view-{self._orders.process}-{number}-{pid}")
            except PersistenceError:
                await self._pause(0.5)

    async def _look(self, pid: str, view_id: str) -> None:
        async with AsyncExitStack() as stack:
            with self._call("state", pid) as call:
                view = await stack.enter_async_context(
                    self._persistence.view(
                        pid, view_id=view_id, initial=EMPTY, evolve=evolve, snapshot_every=5 * SNAPSHOT_EVERY
                    )
                )
                call.fields.update(number=view.sequence_nr, mark=view.state.mark)
            for _ in range(20):
                with self._call("state", pid) as call:
                    await view.update()
                    call.fields.update(number=view.sequence_nr, mark=view.state.mark)
                await self._pause(0.2)

    async def _load_some(self) -> None:
        """Load snapshots: one that was saved is there, and is what it was."""
        while True:
            try:
                pid = self._random.choice([*FOLLOWED, *CUT])
                with self._call("snapshot", pid) as call:
                    found = await self._persistence.snapshot_store.load(pid)
                    if found is None:
                        call.fields["number"] = None
                    else:
                        call.fields.update(number=found.metadata.sequence_nr, mark=found.snapshot.mark)
            except PersistenceError:
                await self._pause(0.5)
            await self._pause(0.2)

    # --- what all need -------------------------------------------------------------------------------------------

    def _call(self, op: str, pid: str, **fields: Any) -> Any:
        return self._history.call(op, pid, **{"within": LOOK_TIMEOUT, **fields})

    async def _pause(self, mean: float) -> None:
        await trio.sleep(self._random.expovariate(1 / mean))


@asynccontextmanager
async def opened(persistence: Persistence, history: History, pid: str, writer: str) -> AsyncIterator[Account]:
    """An entity, opened and closed; its opening is logged as the claim that it is, with the state that it found."""
    every = SNAPSHOT_EVERY if pid in FOLLOWED + CUT else None
    async with AsyncExitStack() as stack:
        with history.call("claim", pid, writer=writer, within=LOOK_TIMEOUT) as call:
            entity: Account = await stack.enter_async_context(
                persistence.entity(pid, initial=EMPTY, evolve=evolve, snapshot_every=every)
            )
            call.fields.update(highest=entity.sequence_nr, mark=entity.state.mark)
        yield entity


async def open_at_last(orders: Orders, history: History, stack: AsyncExitStack) -> Persistence:
    """Open the persistence, again and again while no broker answers."""
    while True:
        try:
            with history.call("open", "", within=LOOK_TIMEOUT):
                return await stack.enter_async_context(
                    open_persistence(service_config(orders), serializer=serializer())
                )
        except BrokerError as error:
            if not error.retriable:
                raise
            await trio.sleep(0.5)


async def serve(orders: Orders) -> None:
    """Work until SIGTERM."""
    history = History(Path(orders.history), orders.process)
    write_on_signals()
    async with AsyncExitStack() as stack:
        persistence = await open_at_last(orders, history, stack)
        try:
            await until_told(partial(beat, history), *Service(persistence, history, orders).tasks)
        finally:
            with history.call("close", "", within=CLOSE_TIMEOUT):
                await stack.aclose()  # noqa: ASYNC102 - closing is bounded or shields itself; that it is, is under test
    history.line(op="ended")


if __name__ == "__main__":
    die_with_parent()
    trio.run(serve, Orders.from_argument(sys.argv[1]))
