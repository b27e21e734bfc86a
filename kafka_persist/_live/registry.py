"""Which entities are open: opens them on demand, shares them between tasks, closes those that nobody uses.

Theory of operation. A `Cell` stands for a persistence id that somebody asked for. It is in `_cells` from the first call
that needs it until its entity is closed, so that an id is opened, and recovered, by one task at a time: whoever comes
while it is opening waits for `ready`, whoever comes while it is closing waits for `gone` and makes the next cell.

Each cell that holds an entity, or recovers one, has one of `limit` slots, given out in the order in which they were asked
for. A cell that nobody uses is in `_idle`, the one that has been idle longest first. It loses its entity when its time is
over, or when another cell waits for a slot. A cell in use is in no such danger, and no call ever waits for a second
entity while it uses one, so somebody always gets on.

Openings and closings run in the registry's own nursery: a caller that is cancelled while it waits disturbs nobody.
All changes of state are made without a checkpoint; what awaits changes nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import trio

from .._entities.log import WARNING, tell
from .._entities.stopping import ShardGone, shard_gone
from .._lifecycle import Background, open_nursery
from ..entity import Entity
from ..entity_type import EntityType
from ..errors import StoreClosed, printable
from .cell import Cell, Life
from .slots import Slots
from .tally import Tally

AnyType: TypeAlias = EntityType[Any, Any]
AnyEntity: TypeAlias = Entity[Any, Any]

CLOSED_AT_ONCE: Final = 64
"""Entities that are passivated at the same time when the registry is closed."""


class Registry:
    """Opens, shares and closes entities.

    Args:
        recover: opens an entity; the name is held until `release`.
        release: gives an entity's name back.
        limit: entities that may be open at once.
        idle_after: seconds after which an entity that nobody uses is closed; None for never.
        tasks: run openings and closings.
        tally: what is counted.
    """

    def __init__(
        self,
        recover: Callable[[AnyType, str], Awaitable[AnyEntity]],
        release: Callable[[str], None],
        *,
        limit: int,
        idle_after: float | None,
        tasks: Background,
        tally: Tally,
    ) -> None:
        self.limit: int = limit
        self.closed: bool = False
        self._recover = recover
        self._release = release
        self._idle_after = idle_after
        self._tasks = tasks
        self._tally = tally
        self._cells: dict[str, Cell] = {}
        self._idle: OrderedDict[str, Cell] = OrderedDict()
        self._some_idle = trio.Event()
        self._slots = Slots(limit)
        self._passivating: set[Cell] = set()

    def counts(self) -> dict[str, int]:
        """How many cells are where."""
        lives = [cell.life for cell in self._cells.values()]
        return {
            "open": lives.count(Life.OPEN),
            "in_use": lives.count(Life.OPEN) - len(self._idle),
            "opening": lives.count(Life.OPENING),
            "closing": lives.count(Life.CLOSING),
        }

    # --- using ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def use(self, type_: AnyType, persistence_id: str) -> AsyncIterator[AnyEntity]:
        """Hold an entity open for the block; the same one as other tasks.

        Raises:
            PersistenceError: it could not be opened; everybody who waits for the same opening gets the same error.
        """
        cell = await self._cell_to_use(type_, persistence_id)
        self._idle.pop(persistence_id, None)
        cell.users += 1
        try:
            await cell.ready.wait()
            if cell.error is not None:
                raise cell.error.with_traceback(None)  # else each of those who waited would add its own
            assert cell.entity is not None
            yield cell.entity
        finally:
            self._leave(cell)

    async def _cell_to_use(self, type_: AnyType, persistence_id: str) -> Cell:
        while True:
            self._check_open()
            cell = self._cells.get(persistence_id)
            if cell is None:
                return self._new_cell(type_, persistence_id)
            if cell.life is not Life.CLOSING:
                return cell
            await cell.gone.wait()

    def _new_cell(self, type_: AnyType, persistence_id: str) -> Cell:
        cell = Cell(type_, persistence_id)
        if not self._tasks.spawn(self._open, cell):
            raise self._is_closed()
        self._cells[persistence_id] = cell
        return cell

    def _leave(self, cell: Cell) -> None:
        cell.users -= 1
        if cell.is_gone:
            return
        entity = cell.entity
        if entity is None:
            self._leave_opening(cell)
            return
        if entity.has_stopped:
            cell.life = Life.CLOSING  # nobody else begins to use it
        if cell.users:
            return
        if cell.life is Life.CLOSING:  # stopped, or retired
            self._forget(cell)
            return
        cell.idle_since = trio.current_time()
        self._idle[cell.persistence_id] = cell
        self._some_idle.set()
        self._make_room()

    def _leave_opening(self, cell: Cell) -> None:
        """Give up an opening that nobody waits for any more, unless its recovery has begun.

        Otherwise callers that give up after a timeout would leave openings behind, and those who come later would wait
        for them. A recovery that has begun is completed: somebody wanted it a moment ago, and may want it again.
        """
        if not cell.users and (cell.slot is None or not cell.slot.is_set()):
            cell.queued.cancel(reason="nobody waits for the entity any more")
            self._drop(cell)

    # --- opening -------------------------------------------------------------------------------------------------

    async def _open(self, cell: Cell) -> None:
        """Open the entity of a new cell; a task."""
        if cell.is_gone:
            return
        cell.slot = self._slots.ask()
        self._make_room()
        try:
            with cell.queued:
                await cell.slot.wait()
            if cell.is_gone:  # given up; another cell may have its name by now
                return
            began = trio.current_time()
            cell.entity = await self._recover(cell.type, cell.persistence_id)
            if cell.retired:
                cell.error = shard_gone(cell.persistence_id)
                self._forget(cell)
                return
        except Exception as error:  # noqa: BLE001 - raised in the tasks that wait for the cell
            cell.error = error
            if isinstance(error, ShardGone):
                self._drop(cell)
                return
            self._tally.count_failed_opening(error)
            text = f"{printable(cell.persistence_id)} could not be opened: {error}"
            tell(WARNING, "entity.opening-failed", text, persistence_id=cell.persistence_id)
            self._drop(cell)
            return
        except trio.Cancelled:
            if not cell.is_gone:
                cell.error = self._is_closed()
                self._drop(cell)
            raise
        cell.life = Life.OPEN
        if self.closed:  # `close_now` came while the recovery took its last step
            cell.error = self._is_closed()
            self._forget(cell)
            return
        self._tally.count_opening(trio.current_time() - began)
        cell.ready.set()
        cell.users += 1
        self._leave(cell)  # idle, if whoever wanted it was cancelled

    def _make_room(self) -> None:
        """Close idle entities, the longest idle ones first, until all that wait for a slot will get one."""
        while self._idle and self._slots.waiting > len(self._passivating):
            self._passivate(next(iter(self._idle.values())))

    # --- closing -------------------------------------------------------------------------------------------------

    def _passivate(self, cell: Cell) -> None:
        """Close an idle entity: at once, or in a task if a snapshot has to be waited for."""
        del self._idle[cell.persistence_id]
        assert cell.entity is not None
        cell.life = Life.CLOSING
        self._tally.passivated += 1
        if cell.entity.can_close_at_once or not self._tasks.spawn(self._passivate_slowly, cell):
            self._forget(cell)
        else:
            self._passivating.add(cell)

    async def _passivate_slowly(self, cell: Cell) -> None:
        assert cell.entity is not None
        try:
            await cell.entity.passivate()
        finally:
            self._passivating.discard(cell)
            self._forget(cell)

    def _forget(self, cell: Cell) -> None:
        """Close a cell's entity, if that has not been done."""
        if cell.entity is None or cell.is_gone:
            return
        cell.entity.close()
        self._release(cell.persistence_id)
        self._drop(cell)

    def _drop(self, cell: Cell) -> None:
        """Let go of a cell that has no entity (any more)."""
        cell.life = Life.GONE
        del self._cells[cell.persistence_id]
        if cell.slot is not None:
            self._slots.give_back(cell.slot)
        cell.ready.set()
        cell.gone.set()

    def retire(self, concerned: Callable[[str], bool]) -> None:
        """Let nobody begin to use the entities of some ids as they are now: what they know may be old.

        Idle ones are passivated, those in use closed when their users have left, and those that are being opened are not
        used. Whoever asks for one of the ids afterwards has it opened anew.
        """
        for cell in [cell for cell in self._cells.values() if concerned(cell.persistence_id)]:
            match cell.life:
                case Life.OPENING:
                    cell.retired = True
                case Life.OPEN if cell.persistence_id in self._idle:
                    self._passivate(cell)
                case Life.OPEN:
                    cell.life = Life.CLOSING

    async def passivate_idle(self) -> None:
        """Close entities whose time is over, until cancelled; a task."""
        if self._idle_after is None:
            return
        while True:
            while not self._idle:  # whoever woke us may be in use again
                self._some_idle = trio.Event()
                await self._some_idle.wait()
            # The first one is due first; until then it may be used, and then another one is, later.
            oldest = next(iter(self._idle.values()))
            await trio.sleep_until(oldest.idle_since + self._idle_after)
            while self._idle and self._is_due(next(iter(self._idle.values()))):
                self._passivate(next(iter(self._idle.values())))

    def _is_due(self, cell: Cell) -> bool:
        assert self._idle_after is not None
        return cell.idle_since + self._idle_after <= trio.current_time()

    async def close(self) -> None:
        """Close all entities, with their last snapshots."""
        self.closed = True
        await trio.lowlevel.checkpoint()
        limiter = trio.CapacityLimiter(CLOSED_AT_ONCE)

        async def passivate(entity: AnyEntity) -> None:
            async with limiter:
                await entity.passivate()

        async with open_nursery() as nursery:
            for cell in list(self._cells.values()):
                if cell.life is Life.OPEN and cell.entity is not None and not cell.entity.can_close_at_once:
                    nursery.start_soon(passivate, cell.entity)
            for cell in self._passivating:  # their snapshots are under way already
                nursery.start_soon(cell.gone.wait)

    def close_now(self) -> None:
        """Refuse every later call, and give all names back."""
        self.closed = True
        self._idle.clear()
        for cell in list(self._cells.values()):
            self._forget(cell)

    def _check_open(self) -> None:
        if self.closed:
            raise self._is_closed()

    @staticmethod
    def _is_closed() -> StoreClosed:
        return StoreClosed("the entities are closed; use them inside their `async with persistence.entities()` block")
