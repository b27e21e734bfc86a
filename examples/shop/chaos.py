"""A load on the shop while its broker and its worker are killed, and then a count: nothing lost, nothing doubled.

Customers repeat a request, with the same key, until they get an answer. What they were told is what is compared, at the end,
with what stands in the journal and in the read model.
"""

from __future__ import annotations

import itertools
import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from kafka_persist import open_journal
from kafka_persist_testkit import TestServer

from .orders import Paid, Placed
from .overview import OWED, read
from .service import ORDER, PRICES, SERIALIZER, STOCK
from .stock import Received, Released, Reserved
from .worker import shop_config

CUSTOMERS = 6
EVERY = 4.0
"""Seconds between two faults."""


@attrs.define(eq=False)
class Told:
    """What customers were told."""

    placed: dict[str, int] = attrs.Factory(dict)  # order -> cents
    refused: set[str] = attrs.Factory(set)
    paid: Counter[str] = attrs.Factory(Counter)
    repeated: int = 0


async def ask(port: int, method: str, path: str, key: str, body: object) -> tuple[int, dict[str, object]]:
    """One request, on a connection of its own.

    Raises:
        OSError: there was no answer.
    """
    data = json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nIdempotency-Key: {key}\r\n"
    with trio.fail_after(20):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            await stream.send_all(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
            answer = b"".join([piece async for piece in stream])
    front, found, rest = answer.partition(b"\r\n\r\n")
    if not found:
        raise OSError("the connection ended before the answer")
    return int(front.split()[1]), json.loads(rest)


async def ask_until_answered(told: Told, port: int, *request: object) -> tuple[int, dict[str, object]]:
    """Repeat a request until it is answered."""
    while True:
        try:
            status, body = await ask(port, *request)  # type: ignore[arg-type]
            if status != 503:
                return status, body
        except (OSError, trio.TooSlowError, trio.BrokenResourceError):
            pass
        told.repeated += 1
        await trio.sleep(0.2)  # as a person would: a service that is down tells nobody when it is back


async def customer(number: int, port: int, told: Told, ends: float, rng: random.Random) -> None:
    for count in itertools.count(1):
        if trio.current_time() > ends:
            return
        order = f"{number}x{count}"
        lines = {article: rng.randint(1, 3) for article in rng.sample(["tea", "cake"], rng.randint(1, 2))}
        body = {"customer": f"customer-{number}", "lines": lines}
        status, answer = await ask_until_answered(told, port, "PUT", f"/orders/{order}", f"place-{order}", body)
        if status != 201:
            told.refused.add(order)
            continue
        told.placed[order] = cents = int(str(answer["cents"]))
        assert cents == sum(PRICES[article] * pieces for article, pieces in lines.items())
        if rng.random() < 0.5:
            path = f"/orders/{order}/payments"
            status, _ = await ask_until_answered(told, port, "POST", path, f"pay-{order}", {"cents": cents})
            assert status == 200
            told.paid[order] += cents


@attrs.define(eq=False)
class Worker:
    """The worker's process, which may be killed at any time."""

    command: list[str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self.command)

    def end(self, signal_: int) -> None:
        assert self.process is not None
        self.process.send_signal(signal_)
        self.process.wait()


@asynccontextmanager
async def running_worker(server: TestServer, prefix: str, port: int, database: Path) -> AsyncIterator[Worker]:
    arguments = ["worker", server.bootstrap_servers, prefix, str(port), str(database)]
    worker = Worker([sys.executable, "-m", "examples.shop", *arguments])
    worker.start()
    try:
        yield worker
    finally:
        worker.end(signal.SIGKILL)


async def make_faults(server: TestServer, worker: Worker, ends: float) -> int:
    """Kill the worker and the broker in turn; how often."""
    for count in itertools.count():
        await trio.sleep(EVERY)
        if trio.current_time() > ends:
            return count
        if count % 2:
            print("the broker is killed", flush=True)
            await trio.to_thread.run_sync(server.broker.kill)
            await trio.sleep(1)
            await trio.to_thread.run_sync(server.broker.start)
        else:
            print("the worker is killed", flush=True)
            await trio.to_thread.run_sync(worker.end, signal.SIGKILL)
            worker.start()
    raise AssertionError


async def stored(server: TestServer, prefix: str) -> tuple[Counter[str], Counter[str], Counter[str], set[str]]:
    """What the journal has: how often each order was placed, what was paid, what is reserved, and for which orders."""
    placed, paid, balance, held = Counter[str](), Counter[str](), Counter[str](), set[str]()
    async with open_journal(shop_config(server.bootstrap_servers, prefix).journal, serializer=SERIALIZER) as journal:
        async with journal.persistence_ids() as ids:
            names = [each async for each in ids]
        for name in names:
            reserved: dict[str, int] = {}
            async with journal.replay(name) as events:
                async for event in events:
                    match event.payload:
                        case Placed():
                            placed[str(ORDER.id_of(name))] += 1
                        case Paid(cents):
                            paid[str(ORDER.id_of(name))] += cents
                        case Received(count):
                            balance[str(STOCK.id_of(name))] += count
                        case Reserved(order, count):
                            reserved[order] = count
                            balance[str(STOCK.id_of(name))] -= count
                        case Released(order):
                            balance[str(STOCK.id_of(name))] += reserved.pop(order)
            held |= set(reserved)
    return placed, paid, balance, held


async def judge(server: TestServer, prefix: str, port: int, told: Told, database: Path) -> list[str]:
    """What is wrong; nothing, if all promises were kept."""
    owed = Counter[str]()
    for order, cents in told.placed.items():
        owed[f"customer-{order.partition('x')[0]}"] += cents - told.paid[order]
    wanted = sorted((name, cents) for name, cents in owed.items() if cents)
    found: list[tuple[str, int]] = []
    with trio.move_on_after(60):
        while (found := await trio.to_thread.run_sync(read, str(database), OWED)) != wanted:  # noqa: ASYNC110 - another process's
            await trio.sleep(0.2)
    wrong = [] if found == wanted else [f"the read model says {found}, but it should be {wanted}"]
    placed, paid, balance, held = await stored(server, prefix)
    if lost := told.placed.keys() - placed.keys():
        wrong.append(f"lost: orders {sorted(lost)}")
    if doubled := [order for order, count in placed.items() if count > 1]:
        wrong.append(f"doubled: orders {doubled}")
    if surplus := placed.keys() & told.refused:
        wrong.append(f"placed though refused: orders {sorted(surplus)}")
    if paid != +told.paid:
        wrong.append(f"payments: {paid - told.paid} too many, {told.paid - paid} missing")
    if held != set(placed):
        wrong.append(f"pieces are set aside for {held - set(placed)}, and none for {set(placed) - held}")
    for article, count in balance.items():
        _, answer = await ask(port, "GET", f"/stock/{article}", "", None)
        if answer["free"] != count or count < 0:
            wrong.append(f"{article}: {answer['free']} are free, but the journal has {count}")
    return wrong


async def chaos(server: TestServer, prefix: str, port: int, database: Path, seconds: float, seed: int) -> int:
    """Run it; the exit code."""
    told = Told()
    async with running_worker(server, prefix, port, database) as worker:
        for article in ("tea", "cake"):
            path = f"/stock/{article}/deliveries"
            await ask_until_answered(told, port, "POST", path, f"delivery-{article}", {"count": 300})
        told.repeated = 0
        ends = trio.current_time() + seconds
        async with trio.open_nursery() as nursery:
            for number in range(CUSTOMERS):
                nursery.start_soon(customer, number, port, told, ends, random.Random(f"{seed}-{number}"))
            faults = await make_faults(server, worker, ends)
        wrong = await judge(server, prefix, port, told, database)
    print(
        f"{len(told.placed)} orders placed, {len(told.refused)} refused, {len(told.paid)} paid; {faults} kills, ",
        end="",
    )
    print(f"{told.repeated} requests repeated (seed {seed})")
    print(*(wrong or ["nothing was lost, nothing was doubled"]), sep="\n")
    return 1 if wrong else 0
