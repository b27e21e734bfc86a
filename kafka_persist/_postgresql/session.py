"""A connection that is made when it is needed, and made again after it was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import psycopg
import psycopg.conninfo

from ..errors import UsageError, printable
from .answers import not_let_in, translated

Connection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"

_DEFAULTS: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
    "application_name": "kafka_persist",
}
"""A server that is gone without a word is noticed within about half a minute: a cancellation waits for the transaction."""


_SETTINGS: Final = {
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
"""Where the server has no value of its own: a process that stands still, or whose machine is gone, must not hold the claims of its
partitions for hours, or nobody can take them over."""


class Session:
    """One connection at a time, used by one thread at a time; every method blocks.

    Args:
        conninfo: libpq's connection string or URI.
        prepare: called on each new connection, inside a transaction.

    Raises:
        UsageError: the connection string cannot be understood.
    """

    def __init__(self, conninfo: str, prepare: Callable[[Connection], None]) -> None:
        self._parameters = _with_defaults(conninfo)
        self._prepare = prepare
        self._connection: Connection | None = None

    def __repr__(self) -> str:
        connection = self._connection
        if connection is None or connection.closed:
            return "not connected"
        info = connection.info
        return f"connected to database {printable(info.dbname)} on {info.host or info.hostaddr}:{info.port}"

    def connect(self) -> Connection:
        """The connection; a new one, if there is none.

        Raises:
            ReadModelUnavailable, ReadModelRefused: the database cannot be reached, or refuses.
        """
        if self._connection is not None and not self._connection.closed:
            return self._connection
        self.close()
        try:
            connection = psycopg.connect(**self._parameters, autocommit=True)
        except psycopg.Error as error:
            raise not_let_in(error) from error
        try:
            with translated("setting timeouts"):
                for name, value in _SETTINGS.items():
                    connection.execute(
                        "SELECT set_config(%s, %s, false) FROM pg_settings WHERE name = %s AND source = 'default'",
                        (name, value, name),
                    )
            with translated("creating the tables of the read model"), connection.transaction():
                self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def close(self) -> None:
        """End the connection; idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextmanager
    def transaction(self, doing: str) -> Iterator[Connection]:
        """One transaction, committed if the block ends well.

        Raises:
            ReadModelUnavailable, ReadModelRefused: the connection was lost, or the database refuses; `doing` is in the text.
        """
        with translated(doing):
            connection = self.connect()
            with connection.transaction():
                yield connection


def _with_defaults(conninfo: str) -> dict[str, Any]:
    try:
        given = psycopg.conninfo.conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        given = None
    if given is None:  # not raised from it: its text quotes the string, and with it perhaps the password
        raise UsageError(
            "the connection string is not one of libpq's: postgresql://user:password@host:port/database, or "
            "'host=... dbname=... user=...' (special characters in a URI are percent-encoded)"
        )
    return {**_DEFAULTS, **given}
