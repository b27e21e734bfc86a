"""What an error of PostgreSQL's client or server means to a read model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from psycopg import Error, InterfaceError, OperationalError, errors

from ..errors import ReadModelError, ReadModelRefused, ReadModelUnavailable

REFUSED: Final = (
    errors.InsufficientPrivilege,
    errors.InvalidAuthorizationSpecification,
    errors.InvalidCatalogName,
    errors.InvalidPassword,
    errors.InvalidSchemaName,
    errors.ReadOnlySqlTransaction,
    errors.UndefinedColumn,
    errors.UndefinedFunction,
    errors.UndefinedTable,
)
"""The database's answer to the program, not to an event: the next event would get the same."""

UNAVAILABLE: Final = (InterfaceError, OperationalError)
"""The connection, the server's resources, another transaction."""

_TRANSACTION_ROLLBACK: Final = "40"
"""The class of SQLSTATEs of deadlocks and serialization failures."""

_NOT_LET_IN: Final = {
    "password authentication failed": "check the user's name and password",
    "no password supplied": "give a password (in the connection string, PGPASSWORD or ~/.pgpass)",
    "no pg_hba.conf entry": "the server's pg_hba.conf does not let this host, user and database in",
    'role "': "create the role, or name another user",
    'database "': "create the database (CREATE DATABASE), or name another one",
    "permission denied for database": "GRANT CONNECT ON DATABASE to the user",
    "certificate verify failed": "check sslrootcert",
    "authentication failed": "check the user and how the server wants to see who it is",
}
"""What the server says when it does not let somebody in: there is no SQLSTATE for it on the client's side."""


def _text(error: Error) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def not_let_in(error: Error) -> ReadModelError:
    """What it means that no connection could be made."""
    text = _text(error)
    for words, remedy in _NOT_LET_IN.items():
        if words in text:
            return ReadModelRefused(f"PostgreSQL does not let this program in: {text}. To do: {remedy}")
    return ReadModelUnavailable(f"PostgreSQL cannot be reached, or is not ready: {text}")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Errors of psycopg become the library's.

    Raises:
        ReadModelUnavailable, ReadModelRefused: see each.
    """
    try:
        yield
    except REFUSED as error:
        raise ReadModelRefused(f"{doing}: PostgreSQL refuses: {_text(error)}{_remedy(error)}") from error
    except UNAVAILABLE as error:
        raise ReadModelUnavailable(
            f"{doing}: PostgreSQL did not complete the transaction: {_text(error)}. It took effect completely or not at all; "
            "the stored positions tell, so it is safe to try again"
        ) from error
    except Error as error:
        raise ReadModelRefused(f"{doing}: PostgreSQL refuses: {_text(error)}") from error


def _remedy(error: Error) -> str:
    if isinstance(error, errors.UndefinedTable):
        return ". To do: create the table, in `create` or with your migrations"
    if isinstance(error, errors.UndefinedColumn | errors.UndefinedFunction):
        return ". To do: bring the database's schema and this program to the same version"
    if isinstance(error, errors.InsufficientPrivilege):
        return ". To do: GRANT the privilege to the user of the connection"
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return ". To do: connect to the primary (target_session_attrs=read-write)"
    return ""


def refusal_of_events(error: ReadModelError) -> Exception | None:
    """The database's refusal of what the events made of it, if it is one: a constraint that is checked at the end, say."""
    cause = error.__cause__
    return cause if isinstance(cause, errors.IntegrityError | errors.DataError) else None


def is_other_transactions(error: ReadModelError) -> bool:
    """Whether another transaction is why this one was ended: run again, it may well succeed."""
    cause = error.__cause__
    return isinstance(cause, Error) and (cause.sqlstate or "").startswith(_TRANSACTION_ROLLBACK)
