"""A `ProjectionStore` in PostgreSQL: the read model's tables and the positions in one database, in one transaction.

It needs psycopg 3 (extra ``postgresql``), which is used synchronously, in the worker thread that a projection gives to its
store: no statement stops the program's other tasks.

Theory of operation. A batch is one transaction. Its first statement locks the claims of the batch's partitions, so nobody
can claim one of them before the transaction ends; whoever claims afterwards reads positions that this transaction has
moved. The positions decide what a lost answer to COMMIT meant: the batch comes again, and is found to be applied.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio

from ._consuming.failing import failure_of
from ._consuming.projection_store import Place, fenced
from ._lifecycle import require_trio
from .consuming import ReceivedEvent
from .errors import ReadModelError, UsageError
from .projection import ProjectionStore, apply_failed

try:
    from ._postgresql import tables
    from ._postgresql.answers import REFUSED, UNAVAILABLE, is_other_transactions, refusal_of_events
    from ._postgresql.session import Connection, Session
except ImportError as _missing:
    raise ImportError(
        "a read model in PostgreSQL needs psycopg 3 and libpq: pip install 'kafka-persist[postgresql]'"
    ) from _missing

__all__ = ["PostgresqlProjectionStore", "open_postgresql_store"]

_TRIES: Final = 5
"""How often a transaction is run that PostgreSQL ends because of another one (a deadlock)."""


class PostgresqlProjectionStore(ProjectionStore):
    """A read model in a PostgreSQL database; opened by `open_postgresql_store`.

    After a lost connection the next call makes another one.
    """

    def __init__(
        self, conninfo: str, apply: Callable[[Connection, ReceivedEvent], None], *, create: str, clear: str
    ) -> None:
        self._apply_event = apply
        self._create, self._clear = create, clear
        self._session = Session(conninfo, self._prepare)
        self._claimed: dict[Place, int] = {}

    def __repr__(self) -> str:
        return f"<PostgresqlProjectionStore {self._session!r}, {len(self._claimed)} partitions claimed>"

    def connect(self) -> None:
        """Connect, and create missing tables; blocks.

        Raises:
            ReadModelUnavailable, ReadModelRefused: the database cannot be reached, or refuses.
        """
        self._session.connect()

    def close(self) -> None:
        """End the connection; idempotent."""
        self._session.close()

    def _prepare(self, connection: Connection) -> None:
        tables.create_missing(connection)
        tables.run_script(connection, self._create)

    def positions(self) -> Mapping[Place, int]:
        """See `ProjectionStore.positions`."""
        with self._session.transaction("reading positions") as connection:
            return tables.all_positions(connection)

    def claim(self, partitions: Collection[Place]) -> None:
        """See `ProjectionStore.claim`. Waits for a transaction under way on one of the partitions."""
        with self._session.transaction("claiming partitions") as connection:
            epochs = tables.raise_epochs(connection, partitions)
        self._claimed.update(epochs)

    def apply(self, events: Sequence[ReceivedEvent]) -> int:
        """See `ProjectionStore.apply`. A transaction that PostgreSQL ends because of another one is run again.

        Raises:
            ProjectionFailed: the function raised for an event, or the database refuses what it did; nothing was changed.
            ProjectionFenced: another process has claimed a partition.
            ReadModelUnavailable: the connection was lost; repeating the call is safe.
            ReadModelRefused: a table, column or privilege is missing. No event is at fault.
            UsageError: a partition was not claimed.
        """
        tries = 1
        while True:
            try:
                return self._apply(events)
            except ReadModelError as error:
                if (refusal := refusal_of_events(error)) is not None:
                    raise failure_of(events, refusal) or error from refusal
                if tries == _TRIES or not is_other_transactions(error):
                    raise
            tries += 1

    def _apply(self, events: Sequence[ReceivedEvent]) -> int:
        count = 0
        with self._session.transaction(f"applying {len(events)} events") as connection:
            positions = self._hold(connection, {(event.topic, event.partition) for event in events})
            numbers = tables.numbers_of(
                connection, (tables.key_of(event.topic, event.persistence_id) for event in events)
            )
            newest: dict[tables.Key, ReceivedEvent] = {}
            for event in events:
                place, key = (event.topic, event.partition), tables.key_of(event.topic, event.persistence_id)
                if event.offset < positions.get(place, 0):
                    continue
                positions[place] = event.offset + 1
                if event.sequence_nr > numbers.get(key, 0):
                    self._apply_one(connection, event)
                    numbers[key], newest[key] = event.sequence_nr, event
                    count += 1
            tables.note_applied(connection, newest)
            tables.raise_positions(connection, positions)
        return count

    def _hold(self, connection: Connection, partitions: Iterable[Place]) -> dict[Place, int]:
        """Lock the claims until the transaction ends; returns the positions.

        Raises:
            ProjectionFenced: somebody else has claimed one of them.
            UsageError: this object has not.
        """
        places = list(partitions)
        for topic, partition in places:
            if (topic, partition) not in self._claimed:
                raise UsageError(f"{topic}[{partition}] was not claimed: call claim() before anything is applied")
        epochs, positions = tables.hold(connection, places)
        for place in places:
            if epochs.get(place) != self._claimed[place]:
                raise fenced(place)
        return positions

    def _apply_one(self, connection: Connection, event: ReceivedEvent) -> None:
        try:
            self._apply_event(connection, event)
        except (*REFUSED, *UNAVAILABLE):
            raise  # the database's answer whatever the event is; translated where the transaction ends
        except Exception as error:
            raise apply_failed(event, error) from error

    def advance(self, positions: Mapping[Place, int]) -> None:
        """See `ProjectionStore.advance`."""
        with self._session.transaction("noting positions") as connection:
            self._hold(connection, positions)
            tables.raise_positions(connection, positions)

    def skip(self, topic: str, partition: int, offset: int, event: ReceivedEvent | None) -> None:
        """See `ProjectionStore.skip`."""
        with self._session.transaction("leaving an event out") as connection:
            self._hold(connection, [(topic, partition)])
            tables.raise_positions(connection, {(topic, partition): offset + 1})
            if event is not None:
                tables.note_applied(connection, {tables.key_of(topic, event.persistence_id): event})

    def last_applied(self, persistence_id: str) -> int:
        """See `ProjectionStore.last_applied`."""
        with self._session.transaction("looking an id up") as connection:
            return tables.last_number(connection, persistence_id)

    def clear(self) -> None:
        """See `ProjectionStore.clear`."""
        with self._session.transaction("emptying the read model") as connection:
            tables.forget(connection)
            tables.run_script(connection, self._clear)
        self._claimed = {}


@asynccontextmanager
async def open_postgresql_store(
    conninfo: str, apply: Callable[[Connection, ReceivedEvent], None], *, create: str, clear: str
) -> AsyncIterator[PostgresqlProjectionStore]:
    """Connect to a PostgreSQL database that holds a read model.

    Args:
        conninfo: libpq's connection string or URI; what it does not say comes from the usual places (``PGHOST``,
            ``~/.pgpass``, ...). It appears in no error and no log.
        apply: called as ``apply(connection, event)`` for each event inside the transaction, in a worker thread; it must
            neither commit nor roll back. PostgreSQL may end a transaction because of another one (a deadlock). Then it is
            called again for the same events, so what it does outside the database may happen twice.
        create: SQL that makes the read model's tables if they are missing; "" if something else does.
        clear: SQL that empties them, for `Projection.rebuild`.

    Raises:
        ReadModelUnavailable: the database cannot be reached.
        ReadModelRefused: it refuses: password, database, privileges.
        UsageError: the connection string cannot be understood.

    Cancellation: while it connects, the caller leaves at once, and the thread gives the connection up by itself. A
    transaction under way is waited for, as for every store: it takes effect completely or not at all. A server that is
    gone without a word ends it after half a minute (``tcp_user_timeout`` in `conninfo` changes that).
    """
    require_trio()
    store = PostgresqlProjectionStore(conninfo, apply, create=create, clear=clear)
    left = False

    def connect() -> None:
        store.connect()
        if left:
            store.close()

    try:
        await trio.to_thread.run_sync(connect, limiter=trio.CapacityLimiter(1), abandon_on_cancel=True)
    except trio.Cancelled:
        left = True  # in this order: whichever of the two is last with the connection closes it
        store.close()
        raise
    try:
        yield store
    finally:
        store.close()  # says goodbye, and waits for nothing
