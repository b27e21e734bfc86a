"""The process of a read model: what the services publish, folded once more, in SQLite. And the last look at everything."""

from __future__ import annotations

import sqlite3
import sys
import time
import uuid
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

import trio

from kafka_persist import Persistence
from kafka_persist.consuming import ReceivedEvent
from kafka_persist.errors import BrokerError, PersistenceError
from kafka_persist.projection import Projection, open_projection
from kafka_persist.projection_sqlite import SqliteProjectionStore

from ..history import History, read_histories
from .orders import EVENTS_TOPIC, READ_MODEL, Orders, service_config
from .plan import CLOSE_TIMEOUT, LOOK_TIMEOUT
from .process import beat, die_with_parent, until_told
from .service import open_at_last, opened
from .stacks import write_on_signals
from .tally import EMPTY, Tally, evolve, serializer

CREATE: Final = "CREATE TABLE IF NOT EXISTS tally (pid TEXT PRIMARY KEY, number INTEGER, digest TEXT, wrong TEXT)"
PATIENCE: Final = 60.0


def project(connection: sqlite3.Connection, event: ReceivedEvent) -> None:
    """Fold an event into its row."""
    row = connection.execute(
        "SELECT number, digest, wrong FROM tally WHERE pid = ?", (event.persistence_id,)
    ).fetchone()
    tally = evolve(Tally(*row) if row else EMPTY, event.data)
    connection.execute(
        "REPLACE INTO tally VALUES (?, ?, ?, ?)", (event.persistence_id, tally.number, tally.digest, tally.wrong)
    )


def open_read_model(orders: Orders) -> SqliteProjectionStore:
    """The read model of this run."""
    return SqliteProjectionStore(str(orders.directory / READ_MODEL), project, create=CREATE, clear="DELETE FROM tally")


def tallies(store: SqliteProjectionStore) -> dict[str, Tally]:
    """What the read model holds."""
    rows = store.connection.execute("SELECT pid, number, digest, wrong FROM tally")
    return {pid: Tally(number, digest, wrong) for pid, number, digest, wrong in rows}


async def run(orders: Orders) -> None:
    """Keep the read model up to date until SIGTERM."""
    history = History(Path(orders.history), orders.process)
    write_on_signals()
    with open_read_model(orders) as store:
        await until_told(partial(beat, history), partial(_follow, orders, history, store))
    history.line(op="ended")


async def _follow(orders: Orders, history: History, store: SqliteProjectionStore) -> None:
    while True:
        try:
            async with AsyncExitStack() as stack:
                projection = await _open(orders, history, store, stack)
                try:
                    await projection.run()
                except PersistenceError as error:
                    with history.call("project", ""):  # such a call has no end of its own
                        raise error from None
        except BrokerError as error:
            if not error.retriable:
                raise
            await trio.sleep(0.5)


async def _open(orders: Orders, history: History, store: SqliteProjectionStore, stack: AsyncExitStack) -> Projection:
    config = service_config(orders).journal
    with history.call("open", "", within=LOOK_TIMEOUT):
        return await stack.enter_async_context(open_projection(config, EVENTS_TOPIC, store, serializer=serializer()))


# --- at the end ------------------------------------------------------------------------------------------------------


async def look_at_everything(orders: Orders) -> None:
    """Open every entity of every service, from a process that knows nothing; then the read model must have them all."""
    history = History(Path(orders.history), orders.process)
    write_on_signals()
    pids = {
        line["pid"] for line in read_histories(orders.directory.glob("s[0-9].*.jsonl")) if line.get("op") == "claim"
    }
    highest: dict[str, int] = {}
    async with AsyncExitStack() as stack:
        persistence = await open_at_last(orders, history, stack)
        async with trio.open_nursery() as nursery:
            for pid in sorted(pids):
                nursery.start_soon(_look, persistence, history, pid, highest)
        await _look_at_read_model(orders, history, highest)
        with history.call("close", "", within=CLOSE_TIMEOUT):
            await stack.aclose()


async def _look(persistence: Persistence, history: History, pid: str, highest: dict[str, int]) -> None:
    for _ in range(3):
        try:
            async with opened(persistence, history, pid, str(uuid.uuid4())) as entity:
                highest[pid] = entity.sequence_nr
                return
        except PersistenceError as error:
            sys.stderr.write(f"{pid}: {error}\n")
            await trio.sleep(1)


async def _look_at_read_model(orders: Orders, history: History, highest: dict[str, int]) -> None:
    """Wait until it has every event: opening an entity also publishes what its last process left."""
    deadline = time.monotonic() + PATIENCE
    with open_read_model(orders) as store:
        async with AsyncExitStack() as stack:
            projection = await _open(orders, history, store, stack)
            while True:
                await projection.catch_up()
                found = tallies(store)
                if all(found.get(pid, EMPTY).number >= number for pid, number in highest.items()):
                    break
                if time.monotonic() > deadline:
                    break
                await trio.sleep(0.2)
        for pid in highest:
            with history.call("projected", pid) as call:
                tally = found.get(pid, EMPTY)
                call.fields.update(number=tally.number, mark=tally.mark)


if __name__ == "__main__":
    die_with_parent()
    trio.run(look_at_everything if sys.argv[2:] == ["last"] else run, Orders.from_argument(sys.argv[1]))
