"""What the pytest plugin remembers: the reports of the subjects of a run, and how outcomes are translated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest

from ..errors import BrokenPromise, FactoryError, NotApplicable, SpecError, single
from .case import Case, cases_of
from .report import GIVE_UP_AFTER, NOT_TRIED, Report, Result, Status, write_json
from .seeds import new_seed


@attrs.define
class Collector:
    """Collects the results of all subjects of a pytest run."""

    settings: Mapping[str, float]
    traceback: bool = False
    reports: dict[str, Report] = attrs.field(factory=dict)
    _cases: dict[str, tuple[str, Case]] = attrs.field(factory=dict)
    _specs: dict[str, dict[str, tuple[str, Case]]] = attrs.field(factory=dict)

    @classmethod
    def from_options(cls, option: Any) -> Collector:
        """Make one from the command line."""
        seed = new_seed() if option.compat_seed is None else option.compat_seed
        settings = {"scale": option.compat_scale, "seed": seed, "performance": option.compat_performance}
        return cls(settings, option.compat_traceback)

    def adopt(self, item: pytest.Function) -> bool:
        """Take a test item in; return whether it is a case."""
        owner: Any = item.cls
        found = cases_of(owner).get(item.originalname)
        if found is None:
            return False
        self._cases[item.nodeid] = found
        item.user_properties += [
            ("compat_subject", owner.__qualname__),
            ("compat_ids", ", ".join(found[1].ids)),
            ("compat_requires", ", ".join(sorted(c.value for c in found[1].requires))),
        ]
        return True

    def give_up(self, owner: Any) -> None:
        """Stop trying a subject whose factory failed several times in a row, so that the run goes on.

        Raises:
            FactoryError: enough is enough.
        """
        last = self.report_of(owner).results[-GIVE_UP_AFTER:]
        if len(last) == GIVE_UP_AFTER and all(result.status is Status.ERROR for result in last):
            raise FactoryError(f"{NOT_TRIED}: {GIVE_UP_AFTER} errors in a row before it; the last: {last[0].message}")

    def report_of(self, owner: Any) -> Report:
        """Return the report of a spec class."""
        kind = "snapshot store" if hasattr(owner, "open_snapshot_store") else "journal"
        name = f"{owner.__module__}.{owner.__qualname__}"
        declared = frozenset(getattr(owner, "capabilities", ()))
        self._specs.setdefault(name, cases_of(owner))
        return self.reports.setdefault(name, Report(name, kind, declared, int(self.settings["seed"])))

    def judge(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Note how a phase of a case ended, and give pytest a message that people can read."""
        if item.nodeid not in self._cases:
            return
        error = single(call.excinfo.value) if call.excinfo else None
        status, message = self._status(error, report)
        if status is None:
            return
        group, info = self._cases[item.nodeid]
        results = self.report_of(getattr(item, "cls", None)).results
        results[:] = [result for result in results if result.case is not info]
        subject = getattr(item, "funcargs", {}).get("subject")
        details = getattr(subject, "details", {})
        results.append(Result(info, group, status, message, call.duration, dict(details)))

    def _status(self, error: BaseException | None, report: pytest.TestReport) -> tuple[Status | None, str]:
        if hasattr(report, "wasxfail"):
            return Status.KNOWN if report.skipped else Status.FAILED, str(report.wasxfail)
        if isinstance(error, NotApplicable):
            report.outcome = "skipped"
            report.longrepr = (report.location[0], (report.location[1] or 0) + 1, str(error))
            return Status.without_verdict(error), str(error)
        if report.skipped:  # by the spec's own fixtures or marks: its promise has not been shown
            return Status.NOT_SHOWN, report.longrepr[2] if isinstance(report.longrepr, tuple) else "skipped"
        if report.passed:
            return (Status.PASSED, "") if report.when == "call" else (None, "")
        if isinstance(error, BrokenPromise | FactoryError | SpecError) and not self.traceback:
            report.longrepr = str(error)
        if isinstance(error, BrokenPromise):
            return Status.FAILED, str(error)
        report.compat_error = True  # type: ignore[attr-defined]
        if isinstance(error, FactoryError) and str(error).startswith(NOT_TRIED):
            report.outcome = "skipped"  # the errors before it have been told
            report.longrepr = (
                report.location[0],
                (report.location[1] or 0) + 1,
                f"{NOT_TRIED} after {GIVE_UP_AFTER} errors in a row",
            )
            return Status.ERROR, str(error)
        return Status.ERROR, str(error) if isinstance(error, FactoryError) else f"{type(error).__name__}: {error}"

    def summarize(self, write_line: Callable[[str], object], path: str | None) -> None:
        """Print the end of each subject's report; write all of it to a file if asked to."""
        for name, report in self.reports.items():
            ran = {result.case.name for result in report.results}
            report.unselected = [info for _group, info in self._specs[name].values() if info.name not in ran]
            if report.results:
                write_line("")
                for line in report.lines(every_case=False):
                    write_line(line)
        if path:
            write_json(self.reports.values(), path)
            write_line(f"compat_suite: report written to {path}")
