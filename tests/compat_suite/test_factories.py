"""A bad factory is an ERROR that names the factory and the cause; it is never a pass and never a hang."""

import time

import pytest

from compat_suite.__main__ import load
from compat_suite.engine.report import Status
from compat_suite.engine.subject import Options
from compat_suite.errors import FactoryError
from compat_suite.runner import Plan, run_journal
from tests.compat_suite import subjects

QUICK = Options(scale=0.03)


def run(factory, only="test_a_stored_event_is_read_back_at_once", options=QUICK):
    return run_journal(
        Plan(factory=factory, name=factory.__name__, capabilities=["deletes", "fencing"], only=only, options=options)
    )


@pytest.mark.parametrize(
    ("factory", "cause"),
    [
        (subjects.raises_when_called, "calling it failed: ValueError: no configuration"),
        (subjects.a_coroutine_function, "returned coroutine, not an asynchronous context manager"),
        (subjects.not_a_context_manager, "returned object, not an asynchronous context manager"),
        (subjects.gives_something_else, "gave object, which is not a kafka_persist.abc.Journal"),
        (subjects.raises_on_entry, "entering failed: ConnectionError: nobody is listening"),
        (subjects.hangs_on_entry, "entering did not end within 0.24 s"),
        (subjects.blocks_the_thread, "entering blocks the whole thread or ignores cancellation"),
        (subjects.leaks_a_task, "leaving the block left 1 task(s) running"),
        (subjects.fails_on_exit, "leaving failed: OSError: the file is gone"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_it_is_an_error_that_names_factory_and_cause(factory, cause):
    result = run(factory).results[0]
    assert result.status is Status.ERROR
    assert factory.__name__ in result.message
    assert cause in result.message


def test_a_factory_that_swallows_errors_is_an_error():
    report = run(subjects.swallows_errors, only="test_use_after_close_raises_store_closed")
    assert report.results[0].status is Status.PASSED
    report = run(subjects.swallows_errors, only="test_errors_of_the_body_come_out_bare")
    assert report.results[0].status is Status.FAILED


def test_after_three_errors_the_other_cases_are_not_tried():
    started = time.monotonic()
    report = run(subjects.hangs_on_entry, only=None)
    assert time.monotonic() - started < 10
    assert report.count(Status.PASSED, Status.FAILED) == 0
    assert sum("not tried" in result.message for result in report.results) > 100
    assert report.exit_code() == 2


def test_a_journal_that_crashes_is_a_failed_case_and_no_error():
    result = run(subjects.crashes_in_a_call).results[0]
    assert result.status is Status.FAILED
    assert "AttributeError: 'NoneType' object has no attribute 'cursor'" in result.message


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("tests.compat_suite.subjects", "write it as pkg.module:callable"),
        ("tests.compat_suite.nowhere:open_journal", "cannot import tests.compat_suite.nowhere"),
        ("tests.compat_suite.subjects:good_jornal", "did you mean good_journal?"),
        ("tests.compat_suite.subjects:NOT_CALLABLE", "a int is not callable"),
    ],
)
def test_a_name_that_cannot_be_loaded_says_why(name, cause):
    with pytest.raises(FactoryError, match=cause.replace("?", r"\?")) as caught:
        load(name)
    assert name in str(caught.value)
