"""A read model: what each customer owes, in SQLite, made of the orders' published events."""

from __future__ import annotations

import contextlib
import sqlite3

from kafka_persist import ReceivedEvent
from kafka_persist.projection_sqlite import SqliteProjectionStore

from .orders import Cancelled, GivenBack, Paid, Placed, Requested

CREATE = """
CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, customer TEXT NOT NULL, owed INTEGER NOT NULL, request TEXT);
CREATE TABLE IF NOT EXISTS begun (id TEXT PRIMARY KEY, since INTEGER NOT NULL);
"""


def apply(connection: sqlite3.Connection, event: ReceivedEvent) -> None:
    """Called once for each event; those of other entities change nothing here."""
    match event.data:
        case Requested():
            connection.execute("INSERT INTO begun VALUES (?, ?)", (event.persistence_id, event.timestamp))
        case GivenBack():
            connection.execute("DELETE FROM begun WHERE id = ?", (event.persistence_id,))
        case Placed(customer, _, cents):
            connection.execute("DELETE FROM begun WHERE id = ?", (event.persistence_id,))
            request = (event.metadata or {}).get("correlation-id")
            connection.execute(
                "INSERT INTO orders VALUES (?, ?, ?, ?)", (event.persistence_id, customer, cents, request)
            )
        case Paid(cents):
            connection.execute("UPDATE orders SET owed = owed - ? WHERE id = ?", (cents, event.persistence_id))
        case Cancelled():
            connection.execute("UPDATE orders SET owed = 0 WHERE id = ?", (event.persistence_id,))
        case _:
            pass


def open_overview(path: str) -> SqliteProjectionStore:
    return SqliteProjectionStore(path, apply, create=CREATE, clear="DELETE FROM orders; DELETE FROM begun;")


def read(path: str, query: str) -> list[tuple[str, int]]:
    """Ask the read model, on a connection of its own; blocks."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return [(str(name), int(number)) for name, number in connection.execute(query)]


OWED = "SELECT customer, sum(owed) FROM orders GROUP BY customer HAVING sum(owed) > 0 ORDER BY customer"
BEGUN = "SELECT id, since FROM begun ORDER BY since LIMIT 100"


def owed(path: str) -> dict[str, int]:
    """What each customer owes who owes something."""
    return dict(read(path, OWED))
