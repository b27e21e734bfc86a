"""A read model: what each customer owes, in SQLite, made of the orders' published events."""

from __future__ import annotations

import sqlite3

from kafka_persist import ReceivedEvent
from kafka_persist.projection_sqlite import SqliteProjectionStore

from .orders import Cancelled, Paid, Placed

CREATE = """
CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, customer TEXT NOT NULL, owed INTEGER NOT NULL, request TEXT);
"""


def apply(connection: sqlite3.Connection, event: ReceivedEvent) -> None:
    """Called once for each event; those of other entities change nothing here."""
    match event.data:
        case Placed(customer, _, cents):
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
    return SqliteProjectionStore(path, apply, create=CREATE, clear="DELETE FROM orders")


def owed(store: SqliteProjectionStore) -> dict[str, int]:
    """What each customer owes who owes something."""
    query = "SELECT customer, sum(owed) FROM orders GROUP BY customer HAVING sum(owed) > 0 ORDER BY customer"
    return dict(store.connection.execute(query).fetchall())
