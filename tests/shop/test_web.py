"""The shop over HTTP, on stores in memory; and the saga, whose process dies in between."""

from __future__ import annotations

import json

import pytest

from examples.shop.orders import request
from examples.shop.overview import OWED, open_overview
from examples.shop.service import ORDER, SERIALIZER, STOCK, Shop
from examples.shop.stock import receive, reserve
from examples.shop.web import make_app
from tests.support.asgi import ask, following

pytestmark = pytest.mark.source


@pytest.fixture
def entity_serializer():
    return SERIALIZER


async def asked(app, method, path, key, body=None):
    headers = {"idempotency_key": key} if key else {}
    answer = await ask(app, path, method, json.dumps(body).encode(), **headers)
    return answer.status, json.loads(answer.body) if answer.body else None


async def test_requests_take_effect_once_and_refusals_are_told(memory_persistence):
    async with memory_persistence.entities() as entities:
        app = make_app(Shop(entities), "")
        for _ in range(2):
            assert await asked(app, "POST", "/stock/tea/deliveries", "d1", {"count": 5}) == (200, {"free": 5})
            assert await asked(app, "PUT", "/orders/1", "r1", {"customer": "anna", "lines": {"tea": 2}}) == (
                201,
                {"cents": 900},
            )
            assert await asked(app, "POST", "/orders/1/payments", "r2", {"cents": 500}) == (200, {"owed": 400})
        for _ in range(2):
            status, said = await asked(app, "PUT", "/orders/2", "r3", {"customer": "bert", "lines": {"tea": 4}})
            assert (status, said) == (409, {"error": "4 wanted, 3 free"})
        assert await asked(app, "GET", "/stock/tea", "") == (200, {"free": 3})
        status, said = await asked(app, "PUT", "/orders/1", "r4", {"customer": "carl", "lines": {"tea": 1}})
        assert (status, "another order" in said["error"]) == (409, True)
        status, said = await asked(app, "PUT", "/orders/3", "r6", {"customer": "anna", "lines": {"gold": 1}})
        assert (status, said) == (400, {"error": "not sold here: gold"})
        assert await asked(app, "DELETE", "/orders/1", "r5") == (204, None)
        assert await asked(app, "GET", "/stock/tea", "") == (200, {"free": 5})


async def test_without_a_key_nothing_happens(memory_persistence):
    async with memory_persistence.entities() as entities:
        app = make_app(Shop(entities), "")
        status, said = await asked(app, "POST", "/stock/tea/deliveries", "", {"count": 5})
        assert (status, "Idempotency-Key" in said["error"]) == (400, True)


async def test_while_no_broker_answers_the_client_is_told_to_come_again(memory_persistence, persistence_faults):
    async with memory_persistence.entities() as entities:
        app = make_app(Shop(entities), "")
        with persistence_faults.broken():
            status, _ = await asked(app, "POST", "/stock/tea/deliveries", "d1", {"count": 5})
        assert status == 503
        assert await asked(app, "POST", "/stock/tea/deliveries", "d1", {"count": 5}) == (200, {"free": 5})


@pytest.mark.parametrize(("stock", "status", "free"), [(5, "placed", 3), (1, "rejected", 1)])
@pytest.mark.parametrize("reserved", [False, True])
async def test_what_a_dead_process_began_is_finished(memory_persistence, stock, status, free, reserved):
    """It died after the order was requested, or after a part of it was set aside."""
    async with memory_persistence.entities() as entities:
        await entities.execute(STOCK, "cake", receive, 9)
        await entities.execute(STOCK, "tea", receive, stock)
        await entities.execute(ORDER, "1", request, "anna", {"cake": 1, "tea": 2}, 1220)
        if reserved:
            await entities.execute(STOCK, "cake", reserve, "1", 1)
        shop = Shop(entities)
        for _ in range(2):
            assert (await shop.go_on("1")).status == status
        assert (await shop.free("tea"), await shop.free("cake")) == (free, 8 if status == "placed" else 9)


async def test_the_page_follows_the_read_model(memory_persistence, tmp_path):
    database = str(tmp_path / "overview.sqlite")
    with open_overview(database) as overview:
        async with memory_persistence.entities() as entities:
            app = make_app(Shop(entities), database)
            assert b"EventSource" in (await ask(app, "/")).body
            async with following(app, "/live") as pieces:
                assert [await pieces.receive(), await pieces.receive()] == ["status 200", "data: []\n\n"]
                overview.connection.execute("INSERT INTO orders VALUES ('order-1', 'anna', 900, NULL)")
                overview.connection.commit()
                assert await pieces.receive() == 'data: [["anna", 900]]\n\n'
    assert "FROM orders" in OWED
