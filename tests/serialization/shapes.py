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

from kafka_persist._core import cbor
from kafka_persist.serialization import Serializer

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


BUYER = UUID("00000000-0000-4000-8000-000000000007")


def shop():
    serializer = Serializer()
    for each in (Order, Renamed, Colour):
        serializer.register(each)
    return serializer


SHOP = shop()


def stored(value, serializer=SHOP):
    """Send a value through bytes and back."""
    encoded = serializer.dump(value)
    return serializer.load(encoded.name, encoded.version, cbor.decode(cbor.encode(encoded.data)))


def full_order():
    line = Line("a-1", 2, Decimal("1.50"))
    return Order(
        number=7,
        identity=BUYER,
        lines=(line, line),
        at=dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC),
        day=dt.date(2024, 2, 29),
        wait=dt.timedelta(days=2, microseconds=3),
        opens=dt.time(8, 30),
        note="ü",
        weight=1.5,
        gift=True,
        picture=b"\0\xff",
        colour=Colour.BLUE,
        size="s",
        labels=frozenset({"x", "y"}),
        buyers={BUYER},
        counts={"a": 1},
        by_number={5: line},
        by_day={dt.date(2024, 1, 1): ["x"]},
        by_colour={Colour.RED: 1},
        place=Place(3, "b"),
        pair=(2, "b"),
        mixed=b"m",
        history=[Paid(Decimal(5)), Refunded(Decimal(3), "late")],
        recent=deque([1, 2]),
        names=("n", "m"),
        extra={"k": [1, None]},
        parent=Order(number=1, identity=BUYER),
    )
