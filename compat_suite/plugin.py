"""The pytest plugin: marks the cases, turns their outcomes into pytest's, and reports per subject at the end.

Loaded in every pytest run in an environment that has the suite: it imports nothing heavy until it meets a spec.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .engine.collector import Collector

_COLLECTOR: pytest.StashKey[Collector] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("compat", "compat_suite: contract tests for journals and snapshot stores")
    group.addoption("--compat-report", metavar="FILE", help="write the results of all subjects to FILE as JSON")
    group.addoption("--compat-scale", type=float, default=1.0, help="factor on all deadlines of the cases (default 1)")
    group.addoption("--compat-seed", type=int, help="seed of the property cases (default: a new one, printed)")
    group.addoption("--compat-performance", action="store_true", help="run the measurements as well (minutes)")
    group.addoption("--compat-traceback", action="store_true", help="show Python tracebacks of broken promises")


def _is_spec(item: pytest.Item) -> bool:
    owner = getattr(item, "cls", None)
    return owner is not None and hasattr(owner, "allowed_capabilities") and hasattr(owner, "group")


def _collector(config: pytest.Config) -> Collector:
    if _COLLECTOR not in config.stash:
        from .engine.collector import Collector

        config.stash[_COLLECTOR] = Collector.from_options(config.option)
    return config.stash[_COLLECTOR]


@pytest.hookimpl(trylast=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Run the cases under Trio, without asking for ``trio_mode``."""
    if isinstance(item, pytest.Function) and _is_spec(item) and _collector(item.config).adopt(item):
        item.add_marker("trio")


@pytest.fixture
def compat_settings(request: pytest.FixtureRequest) -> Mapping[str, float]:
    """The settings of the run that reach every subject: deadline factor and seed."""
    collector = _collector(request.config)
    collector.give_up(request.cls)
    return collector.settings


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a case's outcome into pytest's, with a message instead of a traceback through the suite."""
    report = yield
    if _is_spec(item):
        _collector(item.config).judge(item, call, report)
    return report


def pytest_runtest_logfinish() -> None:
    """Stop an alarm that a Trio run, crashed by it, could not stop itself: it must not ring in the next test."""
    import signal

    if hasattr(signal.getsignal(signal.SIGALRM), "of_compat_suite"):
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Show a factory's failure as an error, not as a failed case."""
    if getattr(report, "compat_error", False) and report.failed:
        return "error", "E", "ERROR"
    return None


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print one table per subject and write the JSON report."""
    if _COLLECTOR in config.stash:
        config.stash[_COLLECTOR].summarize(terminalreporter.write_line, config.option.compat_report)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say how to replay the property cases, if a seed was given."""
    seed = config.option.compat_seed
    return [] if seed is None else [f"compat_suite: seed {seed}"]
