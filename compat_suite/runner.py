"""Running the suite without pytest: each case in a Trio run of its own, one after the other."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
import trio

from kafka_persist.abc import Capability

from .adapters import Backdoor
from .capabilities import JOURNAL, SNAPSHOT_STORE, parse_capabilities
from .case import Case, cases_of
from .catalogue import JournalCases, SnapshotStoreCases
from .errors import BrokenPromise, FactoryError, NotApplicable, NotDeclared, SpecError
from .execution import Blocked, alarm, crashed, grace, late
from .history import failure
from .report import GIVE_UP_AFTER, Report, Result, Status
from .subject import JournalSubject, OpenFaults, OpenStore, Options, SnapshotSubject, Subject


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
        only: a pattern for names or catalogue ids; None runs all.
        clock: makes the clock of each Trio run; None is the real one.
    """

    factory: OpenStore
    name: str
    capabilities: Iterable[object] | None = None
    options: Options = attrs.field(factory=Options)
    open_faults: OpenFaults | None = None
    make_backdoor: Callable[[], Backdoor] | None = None
    only: str | None = None
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


def selected(spec: type, only: str | None) -> Iterator[tuple[str, Case]]:
    """Return the cases of a spec with their groups, in the order of the catalogue."""
    pattern = only if only is None or any(sign in only for sign in "*?[") else f"*{only}*"
    for group, info in cases_of(spec).values():
        by_id = only is not None and any(fnmatch.fnmatch(one, only) for one in info.ids)
        if pattern is None or by_id or fnmatch.fnmatch(info.name, pattern):
            yield group, info


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
    errors = 0
    for group, info in chosen:
        subject = make_subject(
            name=plan.name,
            factory=plan.factory,
            capabilities=declared,
            options=plan.options,
            open_faults=plan.open_faults,
            backdoor=plan.make_backdoor() if plan.make_backdoor else None,
        )
        if errors >= GIVE_UP_AFTER:
            result = Result(info, group, Status.ERROR, f"not tried: {errors} errors in a row before it")
        else:
            result = run_case(spec, subject, group, info, plan.clock)
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
    except NotDeclared as reason:
        status, message = Status.NOT_DECLARED, str(reason)
    except NotApplicable as reason:
        status, message = Status.NOT_APPLICABLE, str(reason)
    except BrokenPromise as story:
        status, message = Status.FAILED, str(story)
    except (trio.TrioInternalError, Blocked):
        stopped = crashed(subject)
        status, message = Status.FAILED if isinstance(stopped, BrokenPromise) else Status.ERROR, str(stopped)
    except Exception as error:  # noqa: BLE001 - whatever the subject raises is judged
        status, message = Status.ERROR, str(error) if isinstance(error, FactoryError) else failure(error)
    return Result(info, group, status, message, time.perf_counter() - started, dict(subject.details))
