"""Events and states change their shape over the years: what older releases stored is read, and means what it should."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from kafka_persist import EntityType, EvolveFailed, Serializer, SnapshotUnreadable
from kafka_persist_testkit import EntityKit, check_golden

GOLDEN = Path(__file__).with_name("golden") / "orders.json"


# --- release 1: an event with a price in euros, one event for "ordered and paid", a state with a list ----------------


@attrs.frozen
class Ordered1:
    item: str
    euros: int


@attrs.frozen
class OrderedAndPaid1:
    item: str
    euros: int


@attrs.frozen
class Looked1:
    page: str


@attrs.frozen
class Order1:
    items: list[str] = attrs.Factory(list)
    euros: int = 0


def evolve1(order: Order1, event: Ordered1 | OrderedAndPaid1 | Looked1) -> Order1:
    if isinstance(event, Looked1):
        return order
    return Order1([*order.items, event.item], order.euros + event.euros)


def release1():
    serializer = Serializer()
    for type_ in (Ordered1, OrderedAndPaid1, Looked1, Order1):
        serializer.register(type_, name=type_.__name__[:-1])
    return serializer


def order1(**options):
    return EntityType("order", initial=Order1(), evolve=evolve1, serializer=release1(), **options)


# --- release 2: cents, a currency, "paid" is an event of its own, nobody is interested in looks -----------------------


@attrs.frozen
class Ordered:
    item: str
    cents: int
    currency: str = "EUR"


@attrs.frozen
class Paid:
    cents: int


@attrs.frozen
class OrderedAndPaid:
    """No longer stored; kept for the events that are."""

    item: str
    euros: int


@attrs.frozen
class Looked:
    """No longer stored, and of no interest."""

    page: str


@attrs.frozen
class Order:
    items: tuple[str, ...] = ()
    cents: int = 0
    paid: int = 0


def evolve2(order: Order, event: Ordered | Paid) -> Order:
    if isinstance(event, Paid):
        return attrs.evolve(order, paid=order.paid + event.cents)
    return attrs.evolve(order, items=(*order.items, event.item), cents=order.cents + event.cents)


def upcast(event: object) -> list[Ordered | Paid]:
    match event:
        case OrderedAndPaid(item, euros):
            return [Ordered(item, euros * 100), Paid(euros * 100)]
        case Looked():
            return []
        case _:
            return [event]


def release2(*, upcast_state=True):
    serializer = Serializer()
    serializer.register(
        Ordered, version=2, upcasters={1: lambda data: {"item": data["item"], "cents": data["euros"] * 100}}
    )
    serializer.register(Paid)
    serializer.register(OrderedAndPaid)
    serializer.register(Looked)
    # Release 1 knew nothing of payments, so a state of it cannot tell what was paid: 0 is what it knew.
    states = {1: lambda data: {"items": data["items"], "cents": data["euros"] * 100}}
    serializer.register(Order, **({"version": 2, "upcasters": states} if upcast_state else {}))
    return serializer


def order2(serializer=None, **options):
    options = {"upcast": upcast, "serializer": serializer or release2(), **options}
    return EntityType("order", initial=Order(), evolve=evolve2, **options)


def buy(_order, item, cents):
    return [Ordered(item, cents)]


async def store_with_release1(world, **options):
    kind = order1(**options)
    async with world.open(serializer=release1()) as persistence, persistence.entities() as entities:
        for event in (Ordered1("tea", 3), Looked1("cake"), OrderedAndPaid1("cake", 4)):
            await entities.execute(kind, "1", lambda _order, event=event: [event])


async def test_one_event_becomes_several_or_none(world):
    """`upcast` splits and drops stored events; numbers stay those of what is stored."""
    await store_with_release1(world)
    async with world.open(serializer=release2()) as persistence, persistence.entities() as entities:
        kind = order2()
        assert await entities.state(kind, "1") == Order(("tea", "cake"), 700, 400)
        await entities.execute(kind, "1", buy, "milk", 150)
    assert world.numbers("order-1") == [1, 2, 3, 4]


async def test_a_repeated_command_returns_its_events_as_they_are_today(world):
    """The key was stored by release 1, the client repeats its request to release 2."""
    async with world.open(serializer=release1()) as persistence, persistence.entities() as entities:
        await entities.execute_once(order1(), "1", "key", lambda _order: [OrderedAndPaid1("cake", 4)])
    async with world.open(serializer=release2()) as persistence, persistence.entities() as entities:
        again = await entities.execute_once(order2(), "1", "key", buy, "cake", 400)
    assert again == (Ordered("cake", 400), Paid(400))


async def test_a_snapshot_of_an_older_state_is_upcast(world):
    """It is used even where its events are deleted."""
    await store_with_release1(world, snapshot_every=3, keep_events=0)
    assert world.numbers("order-1") == []
    async with world.open(serializer=release2()) as persistence, persistence.entities() as entities:
        assert await entities.state(order2(), "1") == Order(("tea", "cake"), 700)


async def test_without_an_upcaster_the_events_make_the_state_anew(world):
    """If all of them are there; then even what the old state did not know."""
    await store_with_release1(world, snapshot_every=3)
    serializer = release2(upcast_state=False)
    async with world.open(serializer=serializer) as persistence, persistence.entities() as entities:
        assert await entities.state(order2(serializer), "1") == Order(("tea", "cake"), 700, 400)


async def test_without_an_upcaster_and_without_the_events_the_opening_fails(world):
    """It never goes on with less."""
    await store_with_release1(world, snapshot_every=3, keep_events=1)
    serializer = release2(upcast_state=False)
    async with world.open(serializer=serializer) as persistence, persistence.entities() as entities:
        with pytest.raises(SnapshotUnreadable):
            await entities.state(order2(serializer), "1")


async def test_an_upcast_that_raises_names_the_event(world):
    """As `evolve` does."""

    def fail(event):
        raise KeyError("item")

    await store_with_release1(world)
    async with world.open(serializer=release2()) as persistence, persistence.entities() as entities:
        with pytest.raises(EvolveFailed, match=r"upcast raised KeyError\('item'\) for event 1, a Ordered"):
            await entities.state(order2(upcast=fail), "1")


def test_the_kit_begins_with_events_of_older_releases():
    """So that a command is tested on what is really stored."""
    kit = EntityKit(order2())
    kit.given_stored(OrderedAndPaid("cake", 4), Looked("tea")).when(buy, "tea", 300).then(
        Ordered("tea", 300), state=Order(("cake", "tea"), 700, 400)
    )


# --- golden records --------------------------------------------------------------------------------------------------

EXAMPLES = {
    "ordered": Ordered("tea", 300),
    "ordered and paid": OrderedAndPaid("cake", 4),
    "order": Order(("tea", "cake"), 700),
}


def test_golden_records_of_both_releases_are_read():
    """The file in the repository has the bytes that release 1 stored."""
    check_golden(GOLDEN, release2(), EXAMPLES)
    stored = json.loads(GOLDEN.read_text("utf-8"))
    assert [record["version"] for record in stored["order"]] == [1, 2]


def without(name):
    return {key: value for key, value in EXAMPLES.items() if key != name}


@pytest.mark.parametrize(
    ("serializer", "examples", "message"),
    [
        (release2(upcast_state=False), EXAMPLES, "'order', stored as 'Order' version 1, cannot be read"),
        (release2(), EXAMPLES | {"ordered": Ordered("tea", 301)}, r"expected to be Ordered\(item='tea', cents=301"),
        (release2(), EXAMPLES | {"paid": Paid(3)}, "in a form that orders.json does not have"),
        (release2(), without("order"), "no example is given"),
    ],
)
def test_golden_records_find_what_was_forgotten(serializer, examples, message):
    """A change without an upcaster, a change of meaning, a form that nobody kept."""
    with pytest.raises(AssertionError, match=message):
        check_golden(GOLDEN, serializer, examples)


def test_golden_records_are_added_by_hand(tmp_path):
    """Forms that are there stay there; the second update changes nothing."""
    file = tmp_path / "orders.json"
    check_golden(file, release1(), {"ordered": Ordered1("tea", 3)}, update=True)
    check_golden(file, release2(), {"ordered": Ordered("tea", 300)}, update=True)
    before = file.read_bytes()
    check_golden(file, release2(), {"ordered": Ordered("tea", 300)}, update=True)
    assert file.read_bytes() == before
    assert [record["version"] for record in json.loads(before)["ordered"]] == [1, 2]


if __name__ == "__main__":  # how the file was made: by one release after the other
    check_golden(
        GOLDEN,
        release1(),
        {
            "ordered": Ordered1("tea", 3),
            "ordered and paid": OrderedAndPaid1("cake", 4),
            "order": Order1(["tea", "cake"], 7),
        },
        update=True,
    )
    check_golden(GOLDEN, release2(), EXAMPLES, update=True)
