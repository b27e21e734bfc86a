"""Many small streams, as in pyeventsourcing/eventstore-benchmarks: 256-byte events, one per write, a new stream after ten.

``python -m benchmarks.streams [--quick] [--tasks 1 16] [--only NAME ...]``. Both layouts, and, where they are installed (`nox -s
streams` installs them), eventsourcing on SQLite and UmaDB. The rounds of all stores alternate, so that whatever else the machine
does hits all of them. Rates depend on the machine and on what else runs on it; the ratios are what to look at.

What an acknowledged event has survived differs: Kafka's is in the memory of the broker (of as many as are in sync, here one) and
not yet on the disk, as Kafka is usually run; SQLite's and UmaDB's are synced to the disk.
"""

from __future__ import annotations

import abc
import argparse
import importlib.util
import random
import socket
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path

import attrs
import trio

from kafka_persist import AtomicWrite, JournalConfig, KafkaJournal, PersistentRepr, open_journal
from kafka_persist.config import Layout, SharedConfig
from kafka_persist.publishing import EmptyEventTopicMapper
from kafka_persist_testkit import TestServer

PAYLOAD = b"x" * 256
EVENTS = 10
"""In each stream."""

FIRST = "kafka_persist, shared"
"""What the others are compared with."""


class Store(abc.ABC):
    """One store; its streams are named by uuids."""

    slow = False
    """It gets fewer streams, so that a round ends."""

    @abc.abstractmethod
    async def run(self, work: str, shares: Sequence[Sequence[str]]) -> None:
        """Write or read ("write", "read") the streams, one task for each share."""


@attrs.define
class Ours(Store):
    journal: KafkaJournal
    slow: bool

    async def run(self, work: str, shares: Sequence[Sequence[str]]) -> None:
        async with trio.open_nursery() as nursery:
            for share in shares:
                nursery.start_soon(getattr(self, work), share)

    async def write(self, streams: Sequence[str]) -> None:
        for stream in streams:
            writer = uuid.uuid4()
            await self.journal.claim(stream, writer)
            for number in range(1, EVENTS + 1):
                event = PersistentRepr(persistence_id=stream, sequence_nr=number, payload=PAYLOAD, writer=writer)
                results = await self.journal.write([AtomicWrite([event])])
                assert results == [None]

    async def read(self, streams: Sequence[str]) -> None:
        for stream in streams:
            async with self.journal.replay(stream) as events:
                found = [event async for event in events]
            assert len(found) == EVENTS


@attrs.define
class Threads(Store):
    """A store that blocks: a thread in place of each task, as its users would have it."""

    write: Callable[[str], None]
    read: Callable[[str], int]

    async def run(self, work: str, shares: Sequence[Sequence[str]]) -> None:
        await trio.to_thread.run_sync(self._run, work, shares)

    def _run(self, work: str, shares: Sequence[Sequence[str]]) -> None:
        with ThreadPoolExecutor(len(shares)) as pool:
            for _ in pool.map(getattr(self, f"_{work}"), shares):
                pass

    def _write(self, streams: Sequence[str]) -> None:
        for stream in streams:
            self.write(stream)

    def _read(self, streams: Sequence[str]) -> None:
        for stream in streams:
            assert self.read(stream) == EVENTS


@asynccontextmanager
async def open_ours(servers: str, layout: Layout, directory: str) -> AsyncIterator[Store]:
    config = JournalConfig(
        bootstrap_servers=servers,
        layout=layout,
        prefix=f"{layout}-",
        shared=SharedConfig(partitions=1, directory=directory),
    )
    async with open_journal(config, event_topic_mapper=EmptyEventTopicMapper()) as journal:
        yield Ours(journal, slow=layout == "topic-per-id")


@contextmanager
def open_sqlite(directory: str) -> Iterator[Store]:
    from eventsourcing.persistence import StoredEvent
    from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

    with closing(SQLiteDatastore(str(Path(directory) / "events.db"), lock_timeout=60, pool_size=300)) as datastore:
        recorder = SQLiteApplicationRecorder(datastore)
        recorder.create_table()

        def write(stream: str) -> None:
            for number in range(1, EVENTS + 1):
                recorder.insert_events([StoredEvent(uuid.UUID(stream), number, "placed", PAYLOAD)])

        yield Threads(write, lambda stream: len(recorder.select_events(uuid.UUID(stream))))


@contextmanager
def open_umadb(directory: str) -> Iterator[Store]:
    import umadb

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = ["umadb", "--listen", f"127.0.0.1:{port}", "--db-path", str(Path(directory) / "uma.db")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            client = connected(umadb, port)

            def query(stream: str) -> object:
                return umadb.Query(items=[umadb.QueryItem(tags=[stream])])

            def write(stream: str) -> None:
                last = None
                for _ in range(EVENTS):
                    condition = umadb.AppendCondition(query(stream), after=last)
                    last = client.append([umadb.Event("placed", PAYLOAD, tags=[stream])], condition=condition)

            yield Threads(write, lambda stream: len(list(client.read(query(stream)))))
        finally:
            process.terminate()


def connected(umadb, port: int):
    """A client of a server that is just starting."""
    give_up = time.monotonic() + 30
    while True:
        try:
            client = umadb.Client(f"http://127.0.0.1:{port}")
            client.head()
        except Exception:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)
        else:
            return client


PEERS = {"eventsourcing, SQLite": ("eventsourcing", open_sqlite), "UmaDB": ("umadb", open_umadb)}


@asynccontextmanager
async def open_stores(servers: str, only: Sequence[str]) -> AsyncIterator[dict[str, Store]]:
    stores: dict[str, Store] = {}
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="kafka-persist-streams-"))
        stores[FIRST] = await stack.enter_async_context(open_ours(servers, "shared", directory))
        stores["kafka_persist, topic per id"] = await stack.enter_async_context(open_ours(servers, "topic-per-id", ""))
        for name, (package, open_peer) in PEERS.items():
            if importlib.util.find_spec(package):
                stores[name] = stack.enter_context(open_peer(directory))
            else:
                print(f"{name}: not installed, left out")
        yield {name: store for name, store in stores.items() if not only or name in only}


async def measure(store: Store, tasks: int, total: int) -> tuple[float, float]:
    """Events a second, written and read."""
    count = max(1, total // tasks // (20 if store.slow else 1))
    shares = [[str(uuid.uuid4()) for _ in range(count)] for _ in range(tasks)]
    rates = []
    for work in ("write", "read"):
        began = time.perf_counter()
        await store.run(work, shares)
        rates.append(tasks * count * EVENTS / (time.perf_counter() - began))
        for share in shares:
            random.shuffle(share)
    return rates[0], rates[1]


async def rounds(servers: str, options: argparse.Namespace) -> None:
    async with open_stores(servers, options.only) as stores:
        for store in stores.values():
            await measure(store, 4, 40)  # the first connections and topics
        print(f"{'tasks':>5}  {'store':<28}{'written/s':>10}{'ratio':>8}{'read/s':>10}{'ratio':>8}")
        for tasks in options.tasks:
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in stores}
            for _ in range(options.rounds):
                for name, store in stores.items():
                    found[name].append(await measure(store, tasks, options.streams))
            show(tasks, found)


def show(tasks: int, found: dict[str, list[tuple[float, float]]]) -> None:
    """Print the medians, and of the ratios to the first store of the same round."""
    first = next(iter(found.values()))
    for name, each in found.items():
        cells = []
        for work in (0, 1):
            rate = statistics.median(rates[work] for rates in each)
            ratio = statistics.median(rates[work] / other[work] for rates, other in zip(each, first, strict=True))
            cells.append(f"{rate:>10,.0f}{ratio:>8.2f}")
        print(f"{tasks:>5}  {name:<28}{''.join(cells)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams", description="Many small streams.")
    parser.add_argument("--quick", action="store_true", help="one round of 256 streams")
    parser.add_argument("--tasks", type=int, nargs="*", default=[1, 4, 16, 64, 256], help="how many work at once")
    parser.add_argument("--only", nargs="*", default=[], metavar="STORE", help="some of the stores")
    options = parser.parse_args()
    options.rounds, options.streams = (1, 256) if options.quick else (3, 1024)
    with TestServer() as server:
        trio.run(rounds, server.bootstrap_servers, options)


if __name__ == "__main__":
    main()
