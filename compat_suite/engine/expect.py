"""Comparisons that say what was expected and what the store gave: always "expected ..., got ...", in this order."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager

from kafka_persist.errors import PersistenceError
from kafka_persist.model import PersistentRepr, SnapshotMetadata

from ..errors import BrokenPromise, FactoryError, NotApplicable, single
from .history import failure, numbers, shorten


def expect(got: object, expected: object, what: str) -> None:
    """Check equality, types included.

    Raises:
        BrokenPromise: they differ.
    """
    found = difference(got, expected)
    if found is not None:
        raise BrokenPromise(f"{what}{found}")


def require(condition: object, what: str) -> None:
    """Check a condition.

    Raises:
        BrokenPromise: with `what` as the message.
    """
    if not condition:
        raise BrokenPromise(what)


def _show(value: object) -> str:
    return shorten(repr(value), 120)


def expect_numbers(got: Sequence[int], expected: Iterable[int], what: str) -> None:
    """Check a list of sequence numbers."""
    wanted = list(expected)
    if list(got) != wanted:
        raise BrokenPromise(f"{what}: expected {numbers(wanted)}, got {numbers(got)}")
    expect_whole(got, what)


def expect_whole(got: Sequence[object], what: str) -> None:
    """Check that sequence numbers are whole numbers: 5.0 equals 5 and is none."""
    other = [number for number in got if type(number) is not int]
    require(not other, f"{what}: expected int, got {other[:1]!r} ({type(other[0]).__name__ if other else ''})")


def same_value(got: object, expected: object) -> bool:
    """Whether two values are equal all the way down, types included (1 is not True, 1.0 is not 1, -0.0 is not 0.0)."""
    return difference(got, expected) is None


def difference(got: object, expected: object, path: str = "") -> str | None:
    """Return where two values differ for the first time, as "path: expected ..., got ..."; None if they do not."""
    if type(got) is not type(expected):
        kinds = f"expected {_show(expected)} ({type(expected).__name__}), got {_show(got)} ({type(got).__name__})"
        return f"{path}: {kinds}"
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        return _mapping_difference(got, expected, path)
    if isinstance(expected, list | tuple) and isinstance(got, list | tuple):
        return _sequence_difference(got, expected, path)
    if isinstance(expected, float) and isinstance(got, float):
        same = (got == expected or (math.isnan(got) and math.isnan(expected))) and math.copysign(
            1, got
        ) == math.copysign(1, expected)
        return None if same else _differs(path, got, expected)
    if isinstance(expected, str) and isinstance(got, str) and got != expected:
        return f"{path}: {_text_difference(got, expected)}"
    return None if got == expected else _differs(path, got, expected)


def _differs(path: str, got: object, expected: object) -> str:
    return f"{path}: expected {_show(expected)}, got {_show(got)}"


def _mapping_difference(got: Mapping[object, object], expected: Mapping[object, object], path: str) -> str | None:
    for key in expected:
        if key not in got:
            near = f" (it has {_show(list(got))})" if got else ""
            return f"{path}: expected a key {_show(key)}, got none{near}"
        found = difference(got[key], expected[key], f"{path}[{_show(key)}]")
        if found is not None:
            return found
    surplus = [key for key in got if key not in expected]
    if surplus:
        return f"{path}: expected no key {_show(surplus[0])}, got {_show(got[surplus[0]])}"
    kinds = {key: type(key) for key in expected}
    wrong = [key for key in got if type(key) is not kinds[key]]
    return (
        f"{path}: expected keys of the same types, got {_show(wrong[0])} ({type(wrong[0]).__name__})" if wrong else None
    )


def _sequence_difference(got: Sequence[object], expected: Sequence[object], path: str) -> str | None:
    for place, (one, other) in enumerate(zip(got, expected, strict=False)):
        found = difference(one, other, f"{path}[{place}]")
        if found is not None:
            return found
    if len(got) != len(expected):
        return f"{path}: expected {len(expected)} items {_show(expected)}, got {len(got)} {_show(got)}"
    return None


def _text_difference(got: str, expected: str) -> str:
    if len(expected) <= 60 and len(got) <= 60:
        return f"expected {expected!a}, got {got!a}"
    place = next(
        (n for n, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b), min(len(got), len(expected))
    )
    around = slice(max(0, place - 10), place + 20)
    lengths = f"expected {len(expected)} characters, got {len(got)}"
    return f"{lengths}; from character {place} on expected {expected[around]!a}, got {got[around]!a}"


_FIELDS = ("persistence_id", "sequence_nr", "payload", "manifest", "writer", "tags", "metadata")


def expect_event(got: PersistentRepr, written: PersistentRepr) -> None:
    """Check that an event is as it was written, and that the journal set a timestamp where it had to."""
    for field in _FIELDS:
        expect(getattr(got, field), getattr(written, field), f"event #{written.sequence_nr}, {field}")
    if written.timestamp:
        expect(got.timestamp, written.timestamp, f"event #{got.sequence_nr}, timestamp")
    expect_whole([got.timestamp], f"event #{got.sequence_nr}, timestamp")
    require(got.timestamp > 0, f"event #{got.sequence_nr} has no timestamp: the journal sets it when it is 0")


def expect_metadata(got: SnapshotMetadata, expected: SnapshotMetadata, what: str) -> None:
    """Check the metadata of a snapshot, its bookmark included (which `==` leaves out)."""
    for field in ("persistence_id", "sequence_nr", "timestamp", "metadata", "bookmark"):
        expect(getattr(got, field), getattr(expected, field), f"{what}, {field}")


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
        raise BrokenPromise(f"{what}: expected {names}, got {failure(single(error))}{wrapped}") from error
    else:
        raise BrokenPromise(f"{what}: expected {names}, but it succeeded")


def expect_library_error(error: Exception, what: str) -> None:
    """Check that an error is one of the library's tree, not a foreign one."""
    require(isinstance(error, PersistenceError), f"{what}: expected a PersistenceError, got {failure(error)}")


@contextmanager
def about(name: str, others: Sequence[str]) -> Generator[None]:
    """Name the ids that may have been taken for each other, in whatever goes wrong inside.

    Raises:
        BrokenPromise: with the ids.
    """
    beside = " or ".join(ascii(_end(other)) for other in others)
    with told(f"the id {_end(name)!a} beside {beside}"):
        yield


@contextmanager
def told(where: str) -> Generator[None]:
    """Say where and when, in whatever goes wrong inside.

    Raises:
        BrokenPromise: an error of the store's, or a broken promise, with `where` in front.
    """
    try:
        yield
    except BrokenPromise as error:
        raise BrokenPromise(f"{where}: {error}") from error
    except (FactoryError, NotApplicable):
        raise
    except Exception as error:
        raise BrokenPromise(f"{where}: {failure(single(error))}") from error


def _end(name: str) -> str:
    return name if len(name) <= 60 else f"...{name[-40:]}"
