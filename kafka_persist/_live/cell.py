"""One entity of the registry, from the call that needs it until it is closed."""

from __future__ import annotations

import enum
from typing import Any

import trio

from ..entity import Entity
from ..entity_type import EntityType


class Life(enum.Enum):
    """Where a cell is; it only moves forward."""

    OPENING = enum.auto()
    OPEN = enum.auto()
    CLOSING = enum.auto()
    GONE = enum.auto()


class Cell:
    """One persistence id that somebody asked for.

    Attributes:
        type: its kind.
        persistence_id: its name.
        life: where it is.
        entity: while `life` is OPEN or CLOSING.
        error: why it could not be opened.
        users: tasks that use it or wait for it.
        idle_since: when the last user left.
        slot: its place among those that may be open; set once it has one.
        queued: around the wait for the slot.
        ready: set when it is open, or could not be opened.
        gone: set when it is closed: the next one of the same id may be made.
        retired: what is being recovered may be old already: it is not to be used.
    """

    __slots__ = (
        "entity",
        "error",
        "gone",
        "idle_since",
        "life",
        "persistence_id",
        "queued",
        "ready",
        "retired",
        "slot",
        "type",
        "users",
    )

    def __init__(self, type_: EntityType[Any, Any], persistence_id: str) -> None:
        self.type = type_
        self.persistence_id = persistence_id
        self.life = Life.OPENING
        self.entity: Entity[Any, Any] | None = None
        self.error: Exception | None = None
        self.users = 0
        self.idle_since = 0.0
        self.slot: trio.Event | None = None
        self.queued = trio.CancelScope()
        self.ready = trio.Event()
        self.gone = trio.Event()
        self.retired = False

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left of it but its error."""
        return self.life is Life.GONE

    def __repr__(self) -> str:
        return f"<Cell {self.persistence_id} {self.life.name.lower()}, {self.users} users>"
