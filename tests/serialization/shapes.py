"""Types of an imagined shop, with every kind of field that a payload may have."""

import dataclasses
import datetime as dt
import enum
from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple, NewType
from uuid import UUID

import attrs

Sku = NewType("Sku", str)


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Place(NamedTuple):
    shelf: int
    box: str


@attrs.frozen
class Line:
    sku: Sku
    count: int
    price: Decimal


@attrs.frozen
class Paid:
    amount: Decimal


@attrs.frozen
class Refunded:
    amount: Decimal
    reason: str


@attrs.frozen(kw_only=True)
class Order:
    number: int
    identity: UUID
    lines: tuple[Line, ...] = ()
    at: dt.datetime | None = None
    day: dt.date | None = None
    wait: dt.timedelta = dt.timedelta()
    opens: dt.time = dt.time(9)
    note: str | None = None
    weight: float = 0.0
    gift: bool = False
    picture: bytes = b""
    colour: Colour = Colour.RED
    size: Literal["s", "m"] = "m"
    labels: frozenset[str] = frozenset()
    buyers: set[UUID] = attrs.field(factory=set)
    counts: dict[str, int] = attrs.field(factory=dict)
    by_number: dict[int, Line] = attrs.field(factory=dict)
    by_day: Mapping[dt.date, list[str]] = attrs.field(factory=dict)
    by_colour: dict[Colour, int] = attrs.field(factory=dict)
    place: Place | None = None
    pair: tuple[int, str] = (1, "a")
    mixed: int | float | str | bytes | None = None
    history: list[Paid | Refunded] = attrs.field(factory=list)
    recent: deque[int] = attrs.field(factory=deque)
    names: Sequence[str] = ()
    extra: Any = None
    parent: "Order | None" = None


@dataclasses.dataclass
class Renamed:
    old: str
    new: str
    steps: list[int] = dataclasses.field(default_factory=list)
