"""The example shop: its commands, its use cases under faults, and a day of it on a real Kafka."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from examples.shop.orders import Cancelled, NotPossible, Order, Paid, Placed, cancel, pay, place
from examples.shop.service import ORDER, SERIALIZER, STOCK, Shop
from examples.shop.stock import OutOfStock, Received, Released, Reserved, Stock, receive, release, reserve
from kafka_persist import Tagged, WriteOutcomeUnknown
from kafka_persist_testkit import EntityKit

pytestmark = pytest.mark.source

ROOT = Path(__file__).parents[2]
order, stock = EntityKit(ORDER), EntityKit(STOCK)
PLACED = Placed("anna", {"tea": 2}, 900)


@pytest.fixture
def entity_serializer():
    return SERIALIZER


def test_orders():
    """Each rule of an order in a line."""
    order.when(place, "anna", {"tea": 2}, 900).then(PLACED).when(place, "anna", {}, 0).then(NotPossible)
    order.when(place, "bert", {}, 100_000).then(Tagged(Placed("bert", {}, 100_000), tags={"large"}))
    order.given(PLACED).when(pay, 500).then(Paid(500), reply=400).when(pay, 400).then(Paid(400), reply=0)
    order.given(PLACED, Paid(900)).when(cancel, "late").then(NotPossible)
    order.given(PLACED).when(pay, 901).then(NotPossible)
    order.given(PLACED).when(cancel, "late").then(Cancelled("late")).when(cancel, "late").then()
    order.when(pay, 1).then(NotPossible, state=Order())


def test_stock():
    """Nothing is promised twice."""
    stock.when(receive, 5).then(Received(5), reply=5)
    stock.when(receive, 0).then(ValueError)
    stock.given(Received(5)).when(reserve, "1", 3).then(Reserved("1", 3), state=Stock(2, {"1": 3}))
    stock.given(Received(5), Reserved("1", 3)).when(reserve, "1", 3).then()
    stock.given(Received(5), Reserved("1", 3)).when(reserve, "2", 3).then(OutOfStock)
    stock.given(Received(5), Reserved("1", 3)).when(release, "1").then(Released("1"), state=Stock(5))
    stock.when(release, "1").then()


async def test_an_order_takes_all_its_articles_or_none(memory_persistence):
    """What was set aside for it is given back."""
    async with memory_persistence.entities() as entities:
        shop = Shop(entities)
        await shop.receive("d1", "tea", 10)
        with pytest.raises(OutOfStock):
            await shop.place("r1", "1", "anna", {"tea": 2, "cake": 1})
        assert await shop.free("tea") == 10
        assert await shop.place("r2", "2", "anna", {"tea": 2}) == 900
        await shop.cancel("r3", "2", "late")
        assert await shop.free("tea") == 10


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("write", range(3))
async def test_a_request_that_is_repeated_takes_effect_once(memory_persistence, persistence_faults, stored, write):
    """Whichever of its writes got no answer, and whatever became of it."""
    async with memory_persistence.entities() as entities:
        shop = Shop(entities)
        for article in ("tea", "cake"):
            await shop.receive(f"d-{article}", article, 10)
        for number in range(write + 1):  # the writes before it are stored
            if number == write:
                persistence_faults.unknown_next_write(stored=stored)
            else:
                await entities.execute(STOCK, ("tea", "cake")[number], reserve, "1", 2)
        try:
            await shop.place("r1", "1", "anna", {"tea": 2, "cake": 2})
        except WriteOutcomeUnknown:
            assert await shop.place("r1", "1", "anna", {"tea": 2, "cake": 2}) == 1540
        assert (await shop.free("tea"), await shop.free("cake")) == (8, 8)
        assert (await entities.state(ORDER, "1")).status == "placed"


async def test_many_customers_at_once_never_get_more_than_there_is(memory_persistence):
    """However their commands interleave."""
    async with memory_persistence.entities(limit=5) as entities:
        shop = Shop(entities)
        await shop.receive("d1", "tea", 25)
        sold = 0

        async def buy(number):
            nonlocal sold
            try:
                await shop.place(f"r{number}", str(number), "anna", {"tea": 2})
                sold += 2
            except OutOfStock:
                pass

        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(buy, number)
        assert (sold, await shop.free("tea")) == (24, 1)


@pytest.mark.broker
def test_a_day_in_the_shop(kafka_server, kafka_prefix):
    """The program as people run it."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "examples.shop", "day", kafka_server.bootstrap_servers, kafka_prefix]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "anna pays 900",
        "anna still owes 400",
        "bert pays 120450",
        "carl gets nothing: 1 wanted, 0 free",
        "tea left: 7",
        "tea left: 9",
        "owed: {'bert': 120450}",
    ]
