"""The shop, on a real Kafka.

    python -m examples.shop                     a day in the shop
    python -m examples.shop serve               serve it at http://127.0.0.1:8000 (--port), until Ctrl-C
    python -m examples.shop --chaos             kill its broker and its worker while customers order, and count (--seconds, --seed)

Each starts a Kafka of its own, and stops it. ``python -m examples.shop day SERVERS PREFIX`` uses another one, with topics that begin
with PREFIX.
"""

from __future__ import annotations

import argparse
import socket
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import trio

from kafka_persist import open_persistence, open_projection
from kafka_persist_testkit import TestServer

from .overview import open_overview, owed
from .service import ORDER, SERIALIZER, Shop
from .stock import OutOfStock
from .worker import Published, events_topic, shop_config


async def day(shop: Shop) -> None:
    """What customers do."""
    await shop.receive("delivery-1", "tea", 10)
    await shop.receive("delivery-2", "kettle", 1)
    print("anna pays", await shop.place("r1", "1", "anna", {"tea": 2}))
    print("anna still owes", await shop.pay("r2", "1", 500))
    print("bert pays", await shop.place("r3", "2", "bert", {"kettle": 1, "tea": 1}))
    try:
        await shop.place("r4", "3", "carl", {"tea": 5, "kettle": 1})
    except OutOfStock as error:
        print("carl gets nothing:", error)
    await shop.place("r3", "2", "bert", {"kettle": 1, "tea": 1})  # bert's client got no answer, and asks again
    print("tea left:", await shop.free("tea"))
    await shop.cancel("r5", "1", "changed her mind")
    print("tea left:", await shop.free("tea"))


async def one_day(servers: str, prefix: str, database: Path) -> None:
    config, topic = shop_config(servers, prefix), events_topic(prefix)
    with open_overview(str(database)) as overview:
        async with (
            open_persistence(config, serializer=SERIALIZER, event_topic_mapper=Published(topic)) as persistence,
            persistence.entities(limit=1000) as entities,
            open_projection(config, topic, overview, serializer=SERIALIZER) as projection,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(projection.run)
            await day(Shop(entities))
            for order in ("1", "2"):
                await projection.wait_for(ORDER.persistence_id(order), await entities.sequence_nr(ORDER, order))
            nursery.cancel_scope.cancel()
    print("owed:", owed(str(database)))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m examples.shop", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", nargs="?", default="day", choices=["day", "serve", "worker"], help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--chaos", action="store_true", help="kill broker and worker under load, and count")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.what == "worker":
        from .worker import work

        servers, prefix, port, database = given.rest
        trio.run(work, servers, prefix, int(port), Path(database))
        return 0
    with ExitStack() as stack:
        database = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "overview.sqlite"
        if given.rest:
            trio.run(one_day, *given.rest, database)
            return 0
        server = stack.enter_context(TestServer())
        if given.chaos:
            from .chaos import chaos

            return trio.run(chaos, server, "", free_port(), database, given.seconds, given.seed)
        if given.what == "day":
            trio.run(one_day, server.bootstrap_servers, "", database)
            return 0
        from .worker import work

        print(f"Kafka is at {server.bootstrap_servers}, the shop at http://127.0.0.1:{given.port}; Ctrl-C ends both")
        trio.run(work, server.bootstrap_servers, "", given.port, database)
    return 0


if __name__ == "__main__":
    sys.exit(main())
