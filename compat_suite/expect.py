"""Comparisons that say what was expected and what came."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager

from kafka_persist.errors import PersistenceError
from kafka_persist.model import PersistentRepr

from .errors import BrokenPromise, single
from .history import failure, numbers, shorten


def expect(came: object, expected: object, what: str) -> None:
    """Check equality.

    Raises:
        BrokenPromise: they differ.
    """
    if came != expected:
        raise BrokenPromise(f"{what}: expected {_show(expected)}, came {_show(came)}")


def require(condition: object, what: str) -> None:
    """Check a condition.

    Raises:
        BrokenPromise: with `what` as the message.
    """
    if not condition:
        raise BrokenPromise(what)


def _show(value: object) -> str:
    return shorten(repr(value), 120)


def expect_numbers(came: Sequence[int], expected: Iterable[int], what: str) -> None:
    """Check a list of sequence numbers."""
    wanted = list(expected)
    if list(came) != wanted:
        raise BrokenPromise(f"{what}: expected {numbers(wanted)}, came {numbers(came)}")


def same_value(came: object, expected: object) -> bool:
    """Whether two payloads are equal and of one type (so that 1 is not True)."""
    return type(came) is type(expected) and came == expected


_FIELDS = ("persistence_id", "payload", "manifest", "writer", "tags", "metadata")


def expect_event(came: PersistentRepr, written: PersistentRepr) -> None:
    """Check that an event came back as it was written, and that the journal set a timestamp where it had to."""
    for field in _FIELDS:
        one, other = getattr(came, field), getattr(written, field)
        if not same_value(one, other):
            raise BrokenPromise(f"event #{came.sequence_nr}, {field}: expected {_show(other)}, came {_show(one)}")
    if written.timestamp:
        expect(came.timestamp, written.timestamp, f"event #{came.sequence_nr}, timestamp")
    require(came.timestamp > 0, f"event #{came.sequence_nr} has no timestamp: the journal sets it when it is 0")


@contextmanager
def raises(kinds: type[Exception] | tuple[type[Exception], ...], what: str) -> Generator[list[Exception]]:
    """Expect an error; gives a list that then holds it.

    Raises:
        BrokenPromise: no error came, or one of another kind, or inside an exception group.
    """
    names = " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
    caught: list[Exception] = []
    try:
        yield caught
    except kinds as error:
        caught.append(error)
    except BrokenPromise:
        raise
    except Exception as error:
        wrapped = " inside an exception group" if single(error) is not error else ""
        raise BrokenPromise(f"{what}: expected {names}, came {failure(single(error))}{wrapped}") from error
    else:
        raise BrokenPromise(f"{what}: expected {names}, but it succeeded")


def expect_library_error(error: Exception, what: str) -> None:
    """Check that an error is one of the library's tree, not a foreign one."""
    require(isinstance(error, PersistenceError), f"{what}: a foreign error leaked out: {failure(error)}")
