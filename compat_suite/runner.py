"""Running the suite without pytest: each case in a Trio run of its own, one after the other."""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import attrs
import trio

from kafka_persist.abc import Capability

from .adapters import Backdoor, Elsewhere
from .capabilities import JOURNAL, SNAPSHOT_STORE, parse_capabilities
from .catalogue import JournalCases, SnapshotStoreCases
from .engine.case import Case, cases_of
from .engine.execution import Blocked, alarm, crashed, grace, late
from .engine.history import failure
from .engine.report import GIVE_UP_AFTER, NOT_TRIED, Report, Result, Status
from .engine.subject import JournalSubject, OpenFaults, OpenStore, Options, SnapshotSubject, Subject
from .engine.supervision import LOGBOOK, watched
from .errors import BrokenPromise, FactoryError, NotApplicable, SpecError


@attrs.frozen(kw_only=True)
class Plan:
    """What to run, on what.

    Attributes:
        factory: opens the store.
        name: for the report.
        capabilities: None asks the store.
        options: see `Options`.
        open_faults: opens the faults adapter, if any.
        make_backdoor: makes the backdoor, if any.
        make_elsewhere: tells how another process opens the store, if that is possible.
        only: patterns for what ``--list`` prints: catalogue ids, titles, names, groups; None runs all.
        clock: makes the clock of each Trio run; None is the real one.
    """

    factory: OpenStore
    name: str
    capabilities: Iterable[object] | None = None
    options: Options = attrs.field(factory=Options)
    open_faults: OpenFaults | None = None
    make_backdoor: Callable[[], Backdoor] | None = None
    make_elsewhere: Callable[[], Elsewhere] | None = None
    only: str | Sequence[str] | None = None
    clock: Callable[[], trio.abc.Clock] | None = None


def run_journal(plan: Plan, on_result: Callable[[Result], object] = lambda _: None) -> Report:
    """Run all cases of a journal and return the report.

    Args:
        plan: what to run.
        on_result: called after each case.
    """
    return _run(plan, "journal", JournalSubject, JournalCases, JOURNAL, on_result)


def run_snapshot_store(plan: Plan, on_result: Callable[[Result], object] = lambda _: None) -> Report:
    """Run all cases of a snapshot store and return the report.

    Args:
        plan: what to run.
        on_result: called after each case.
    """
    return _run(plan, "snapshot store", SnapshotSubject, SnapshotStoreCases, SNAPSHOT_STORE, on_result)


def selected(spec: type, only: str | Sequence[str] | None) -> Iterator[tuple[str, Case]]:
    """Return the cases of a spec with their groups, in the order of the catalogue.

    Args:
        spec: holds the cases.
        only: None for all; a pattern, several of them, or several in one text with commas. A pattern is a catalogue id, a title
            or a part of it, a group, the method's name, any of them with ``*`` and ``?``, or a line of ``--list``.
    """
    patterns = (
        None
        if only is None
        else [each for text in ([only] if isinstance(only, str) else only) for each in _split(text)]
    )
    for group, info in cases_of(spec).values():
        if patterns is None or any(_matches(pattern, group, info) for pattern in patterns):
            yield group, info


def _split(text: str) -> list[str]:
    columns = [part for part in re.split(r"\s{2,}", text.strip()) if part]
    parts = columns[-1:] if len(columns) > 1 else text.split(",")  # the last column of a line of --list is the title
    return [_plain(part) for part in parts if part.strip()]


def _plain(text: str) -> str:
    return text.strip().lower().replace("_", " ").removeprefix("test ")


def _matches(pattern: str, group: str, info: Case) -> bool:
    title, names = _plain(info.name), [one.lower() for one in info.ids] + [group.lower()]
    if any(sign in pattern for sign in "*?["):
        return any(fnmatch.fnmatchcase(name, pattern) for name in [*names, title])
    return pattern in names or pattern in title


def _run(
    plan: Plan,
    kind: str,
    make_subject: Any,
    spec: type,
    allowed: frozenset[Capability],
    on_result: Callable[[Result], object],
) -> Report:
    probe = make_subject(name=plan.name, factory=plan.factory, capabilities=frozenset(), options=plan.options)
    declared = _declared(plan, probe, allowed)
    report = Report(plan.name, kind, declared, plan.options.seed)
    chosen = list(selected(spec, plan.only))
    if not chosen:
        raise SpecError(f"no case of a {kind} matches {plan.only!r}; --list shows all")
    ran = {info.name for _group, info in chosen}
    report.unselected = [info for _group, info in cases_of(spec).values() if info.name not in ran]
    errors = 0
    for group, info in chosen:
        subject = make_subject(
            name=plan.name,
            factory=plan.factory,
            capabilities=declared,
            options=plan.options,
            open_faults=plan.open_faults,
            backdoor=plan.make_backdoor() if plan.make_backdoor else None,
            elsewhere=plan.make_elsewhere() if plan.make_elsewhere else None,
        )
        known = next((book.known(kind, group, info) for book in LOGBOOK), None)
        if known is not None:
            result = known
        elif errors >= GIVE_UP_AFTER:
            result = Result(info, group, Status.ERROR, f"{NOT_TRIED}: {errors} errors in a row before it")
        else:
            with watched(kind, info.name):
                result = run_case(spec, subject, group, info, plan.clock)
            for book in LOGBOOK:
                book.ended(kind, result)
        errors = errors + 1 if result.status is Status.ERROR else 0
        report.results.append(result)
        on_result(result)
    return report


def _declared(plan: Plan, probe: Subject[Any], allowed: frozenset[Capability]) -> frozenset[Capability]:
    if plan.capabilities is not None:
        return parse_capabilities(plan.capabilities, allowed)
    return parse_capabilities(_in_time(probe, _ask_capabilities), allowed)


async def _ask_capabilities(probe: Any) -> frozenset[Capability]:
    async with probe.open() as store:
        declared: frozenset[Capability] = store.capabilities
    return declared


def _in_time(probe: Subject[Any], call: Callable[[Any], Any], seconds: float = 8.0) -> Any:
    """Run a call with the deadline of a case."""
    limit = seconds * probe.options.scale

    async def bounded() -> Any:
        with trio.move_on_after(limit) as scope:
            return await call(probe)
        assert scope.cancelled_caught
        raise late(probe, limit)

    try:
        with alarm(limit + grace(probe)):
            return trio.run(bounded)
    except (Blocked, trio.TrioInternalError) as error:
        raise FactoryError(f"{probe.name}: opening blocks the whole thread or ignores cancellation") from error


def run_case(
    spec: type, subject: Subject[Any], group: str, info: Case, clock: Callable[[], trio.abc.Clock] | None = None
) -> Result:
    """Run one case in a Trio run of its own; property cases always get the real clock."""
    started = time.perf_counter()
    method = getattr(spec(), info.name)
    try:
        trio.run(method, subject, clock=clock() if clock and not info.threads else None)
        status, message = Status.PASSED, ""
    except NotApplicable as reason:
        status, message = Status.without_verdict(reason), str(reason)
    except BrokenPromise as story:
        status, message = Status.FAILED, str(story)
    except (trio.TrioInternalError, Blocked):
        stopped = crashed(subject)
        status, message = Status.FAILED if isinstance(stopped, BrokenPromise) else Status.ERROR, str(stopped)
    except Exception as error:  # noqa: BLE001 - whatever the subject raises is judged
        status, message = Status.ERROR, str(error) if isinstance(error, FactoryError) else failure(error)
    return Result(info, group, status, message, time.perf_counter() - started, dict(subject.details))
