"""A read model: the total of each account, in SQLite, from the events that a journal publishes.

python examples/read_model.py          starts a Kafka of its own, makes some events, and shows the totals
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from pathlib import Path

import trio

from kafka_persist import JournalConfig, PersistentRepr, ReceivedEvent, open_journal, open_projection
from kafka_persist.model import AtomicWrite
from kafka_persist.projection_sqlite import SqliteProjectionStore
from kafka_persist_testkit import TestServer

CREATE = "CREATE TABLE IF NOT EXISTS total (account TEXT PRIMARY KEY, amount INTEGER NOT NULL)"
CLEAR = "DELETE FROM total"


def add_up(connection: sqlite3.Connection, event: ReceivedEvent) -> None:
    """Called once for each event, in the transaction that also stores how far the topic was read."""
    connection.execute(
        "INSERT INTO total VALUES (?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
        (event.persistence_id, event.data["amount"]),
    )


async def deposit(config: JournalConfig, account: str, *amounts: int) -> None:
    """What some other program does: it stores events, which are published to the topic `events`."""
    import uuid

    async with open_journal(config) as journal:
        writer = uuid.uuid4()
        highest = await journal.claim(account, writer)
        for number, amount in enumerate(amounts, highest + 1):
            event = PersistentRepr(
                persistence_id=account, sequence_nr=number, payload={"amount": amount}, writer=writer
            )
            await journal.write([AtomicWrite([event])])


async def show(config: JournalConfig, database: Path) -> None:
    """Bring the read model up to date, and print it."""
    with SqliteProjectionStore(str(database), add_up, create=CREATE, clear=CLEAR) as store:
        async with open_projection(config, "events", store) as projection:
            behind = (await projection.lag()).records
            await projection.catch_up()
            totals = dict(store.connection.execute("SELECT account, amount FROM total ORDER BY account").fetchall())
            print(f"{behind} events behind, {projection.applied} applied: {totals}")


async def main(servers: str, database: Path) -> None:
    config = JournalConfig(bootstrap_servers=servers)
    await deposit(config, "anna", 5, 7)
    await deposit(config, "bert", 100)
    await show(config, database)
    await deposit(config, "anna", -2)
    await show(config, database)  # goes on where it was


if __name__ == "__main__":
    with TestServer() as server, tempfile.TemporaryDirectory() as folder:
        trio.run(main, server.bootstrap_servers, Path(folder) / "totals.sqlite")
        sys.exit(0)
