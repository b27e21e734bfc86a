"""What a case is: a promise with its catalogue ids, written as a decorated async method of a mixin class."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from kafka_persist.abc import Capability

if TYPE_CHECKING:
    from .subject import Subject

S = TypeVar("S", bound="Subject[Any]")

DEFAULT_LIMIT = 8.0
"""Seconds that a case may take, times the scale factor."""

_DOCSTRING = re.compile(
    r"(?P<ids>[A-Z]+\d*(?:, [A-Z]+\d*)*)\. (?P<promise>.+?)(?:\n\s*\nWhy: (?P<why>.+))?\Z", re.DOTALL
)


@attrs.frozen(kw_only=True)
class Case:
    """One case.

    Attributes:
        name: of the method; the promise in snake case.
        ids: in the catalogue of the contract.
        promise: one sentence.
        why: what goes wrong for a user if the promise is broken.
        requires: capabilities without which the case does not run.
        lacks: capabilities with which the case does not run (an inverse case).
        needs: optional parts of the subject: "faults", "backdoor", "unserializable", "max_write_bytes".
        limit: seconds, times the scale factor.
        threads: runs its examples from a worker thread (not under a mock clock).
    """

    name: str
    ids: tuple[str, ...]
    promise: str
    why: str
    requires: frozenset[Capability]
    lacks: frozenset[Capability]
    needs: tuple[str, ...]
    limit: float
    threads: bool

    @property
    def title(self) -> str:
        """The name as people read it."""
        return self.name.removeprefix("test_").replace("_", " ")


def case(
    *,
    requires: Iterable[Capability] = (),
    lacks: Iterable[Capability] = (),
    needs: Iterable[str] = (),
    limit: float = DEFAULT_LIMIT,
    threads: bool = False,
) -> Callable[[Callable[[Any, S], Awaitable[None]]], Callable[[Any, S], Awaitable[None]]]:
    """Make a method a case; its docstring is ``IDS. Promise.``, a blank line, ``Why: …``."""

    def mark(fn: Callable[[Any, S], Awaitable[None]]) -> Callable[[Any, S], Awaitable[None]]:
        found = _DOCSTRING.match(inspect.getdoc(fn) or "")
        if found is None:
            raise TypeError(f"{fn.__qualname__}: the docstring of a case starts with its catalogue ids and its promise")
        info = Case(
            name=fn.__name__,
            ids=tuple(found["ids"].split(", ")),
            promise=" ".join(found["promise"].split()),
            why=" ".join((found["why"] or "").split()),
            requires=frozenset(requires),
            lacks=frozenset(lacks),
            needs=tuple(needs),
            limit=limit,
            threads=threads,
        )

        @functools.wraps(fn)
        async def checked(self: Any, subject: S) -> None:
            __tracebackhide__ = True
            await subject.check(info, functools.partial(fn, self, subject))

        checked.__compat_case__ = info  # type: ignore[attr-defined]
        return checked

    return mark


def case_of(method: object) -> Case | None:
    """Return the case behind a method, or None if it is not one."""
    found: Case | None = getattr(method, "__compat_case__", None)
    return found


class Promises:
    """Base of the mixin classes that hold cases.

    Attributes:
        group: the heading in the report.
    """

    group = "Other"


def cases_of(spec: type) -> dict[str, tuple[str, Case]]:
    """Return all cases of a spec class by name, with their group, in the order in which they are defined."""
    found: dict[str, tuple[str, Case]] = {}
    for owner in spec.__mro__:
        for name, member in vars(owner).items():
            info = case_of(member)
            if info is not None and name not in found:
                found[name] = (str(getattr(owner, "group", "Other")), info)
    return found
