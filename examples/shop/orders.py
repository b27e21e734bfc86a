"""An order: requested, then placed or rejected; then paid or cancelled."""

from __future__ import annotations

import attrs

from kafka_persist import EntityType, Reply, Serializer, Tagged


class NotPossible(Exception):  # noqa: N818 - named as the state
    """The order is not in a state in which this can be done."""


@attrs.frozen
class Requested:
    customer: str
    lines: dict[str, int]  # article -> count
    cents: int


@attrs.frozen
class Rejected:
    reason: str


@attrs.frozen
class GivenBack:
    """What was set aside for a rejected order is free again."""


@attrs.frozen
class Placed:
    customer: str
    lines: dict[str, int]  # article -> count
    cents: int


@attrs.frozen
class Paid:
    cents: int


@attrs.frozen
class Cancelled:
    reason: str


@attrs.frozen
class Order:
    status: str = "new"
    customer: str = ""
    lines: dict[str, int] = attrs.Factory(dict)
    owed: int = 0
    reason: str = ""


Event = Requested | Rejected | GivenBack | Placed | Paid | Cancelled


def evolve(order: Order, event: Event) -> Order:
    match event:
        case Requested(customer, lines, cents):
            return Order("requested", customer, lines, cents)
        case Rejected(reason):
            return attrs.evolve(order, status="rejecting", owed=0, reason=reason)
        case GivenBack():
            return attrs.evolve(order, status="rejected")
        case Placed(customer, lines, cents):
            return Order("placed", customer, lines, cents)
        case Paid(cents):
            owed = order.owed - cents
            return attrs.evolve(order, owed=owed, status="paid" if not owed else order.status)
        case Cancelled():
            return attrs.evolve(order, status="cancelled", owed=0)


def request(order: Order, customer: str, lines: dict[str, int], cents: int) -> list[Requested]:
    """Say what somebody wants, before anything is set aside for it; once."""
    if order.status == "new":
        return [Requested(customer, lines, cents)]
    if (order.customer, order.lines) != (customer, lines):
        raise NotPossible(f"there is another order of this number, which is {order.status}")
    return []


def reject(order: Order, reason: str) -> list[Rejected]:
    """Give a requested order up."""
    return [Rejected(reason)] if order.status == "requested" else []


def give_back(order: Order) -> list[GivenBack]:
    """Note that nothing is set aside for a rejected order any longer."""
    return [GivenBack()] if order.status == "rejecting" else []


def place(order: Order, customer: str, lines: dict[str, int], cents: int) -> list[Tagged[Placed]]:
    """Place it; large orders carry a tag, for whoever looks after them."""
    if order.status not in {"new", "requested"}:
        raise NotPossible(f"the order is {order.status} already")
    return [Tagged(Placed(customer, lines, cents), tags={"large"} if cents >= 100_000 else ())]


def pay(order: Order, cents: int) -> Reply[int, Paid]:
    """Pay a part of it or all; the reply is what is still owed."""
    if order.status != "placed" or not 0 < cents <= order.owed:
        raise NotPossible(f"{cents} cannot be paid: the order is {order.status}, {order.owed} are owed")
    return Reply(order.owed - cents, Paid(cents))


def cancel(order: Order, reason: str) -> list[Cancelled]:
    """Cancel it, unless it is paid; once."""
    if order.status == "cancelled":
        return []
    if order.status != "placed":
        raise NotPossible(f"an order that is {order.status} cannot be cancelled")
    return [Cancelled(reason)]


def order_type(serializer: Serializer) -> EntityType[Order, Event]:
    """An order has a few events only: no snapshots."""
    for type_ in (Requested, Rejected, GivenBack, Placed, Paid, Cancelled):
        serializer.register(type_, name=f"order.{type_.__name__.lower()}")
    return EntityType("order", initial=Order(), evolve=evolve, serializer=serializer)
