"""Finding the ids of a journal: whose events may have been stored by a dead process and never published."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeAlias

import trio

from .._core.envelope import decode_envelope
from .._core.header import is_record
from .._journal.layout import Layout
from .._lifecycle import open_nursery
from ..config import JournalConfig
from ..driver import Driver, Log
from ..errors import (
    InvalidPersistenceId,
    JournalBroken,
    PersistenceError,
    StoreClosed,
    StoredDataError,
    SweepIncomplete,
    TopicMissing,
    printable,
)
from ..naming import collision_key
from ..publishing import PendingReport

Failures: TypeAlias = dict[str, PersistenceError]
"""Why ids (or topics whose id is not known) could not be dealt with."""

AT_ONCE: Final = 16
"""Topics that are looked at together."""

SHOWN: Final = 5
"""Failures that a message spells out; the error has all of them."""


async def stored_ids(driver: Driver, config: JournalConfig, layout: Layout) -> tuple[list[str], Failures]:
    """List the persistence ids of a journal, those included that were only claimed.

    Returns:
        The ids, and why it is not known of some topics whether they have one.

    Raises:
        BrokerError: the topics cannot be listed.
    """
    found: list[str] = []

    async def keep(persistence_id: str) -> None:  # noqa: ASYNC124 - what is called may wait elsewhere
        found.append(persistence_id)

    failures = await each_stored_id(driver, config, layout, keep)
    return sorted(found), failures


async def each_stored_id(
    driver: Driver, config: JournalConfig, layout: Layout, found: Callable[[str], Awaitable[None]]
) -> Failures:
    """Call ``await found(persistence_id)`` for each id of a journal: each topic's first record says whose it is.

    Returns:
        Why it is not known of some topics whether they have an id, or what `found` raised for it.

    Raises:
        BrokerError: the topics cannot be listed.
    """
    names = {name for name in await driver.topic_names() if _may_be_journal(name, config)}

    async def look(name: str) -> None:
        owner = await owner_of(driver, Log(name, config.partition))
        if owner is not None and _topic_of(owner, layout) == name:
            await found(owner)

    return await for_each(sorted(names), look)


@trio.lowlevel.enable_ki_protection  # Ctrl-C while a task is being made would leave "coroutine ... was never awaited"
async def for_each(names: Iterable[str], async_fn: Callable[[str], Awaitable[None]]) -> Failures:
    """Call ``async_fn(name)`` for all names, a few at a time; one that fails does not keep the others from their turn.

    Returns:
        The error of each name that failed.

    Raises:
        StoreClosed, JournalBroken: there is no going on; bare.
        Exception: a bug; it ends all, and comes out bare.
    """
    rest, failures, fatal = iter(names), dict[str, PersistenceError](), list[Exception]()

    async def work() -> None:
        for name in rest:
            try:
                await async_fn(name)
            except Exception as error:  # noqa: BLE001 - raised again below, outside the nursery
                if isinstance(error, PersistenceError) and not isinstance(error, StoreClosed | JournalBroken):
                    failures[name] = error
                else:
                    fatal.append(error)
                    nursery.cancel_scope.cancel(reason="there is no going on")

    async with open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(work)
    if fatal:
        raise fatal[0]
    return failures


def incomplete(failures: Failures, report: PendingReport) -> SweepIncomplete:
    """The one error for all ids that failed."""
    shown = [f"{printable(name, 40)}: {error}" for name, error in sorted(failures.items())[:SHOWN]]
    more = f"; and {len(failures) - SHOWN} more" if len(failures) > SHOWN else ""
    return SweepIncomplete(
        f"{len(failures)} of {report.ids} ids could not be published, all others are: {'; '.join(shown)}{more}",
        failures,
        report,
    )


async def first_value(driver: Driver, log: Log) -> bytes | None:
    """The value of the first record of a log; None if there is none.

    Raises:
        TopicMissing: the topic or partition does not exist.
        BrokerError: it cannot be read.
    """
    bounds = (await driver.scan(log, None, 0)).range
    if bounds.start >= bounds.end:
        return None
    records = (await driver.scan(log, bounds.start, bounds.start + 1)).records
    return records[0].value if records else None


async def owner_of(driver: Driver, log: Log) -> str | None:
    """The id whose journal this log is; None if it is not a journal, or empty.

    Raises:
        StoredDataError: it is a journal, but its first record is damaged.
        BrokerError: it cannot be read.
    """
    try:
        value = await first_value(driver, log)
    except TopicMissing:
        return None  # deleted meanwhile, or without that partition
    if not is_record(value):
        return None
    try:
        return decode_envelope(value, str(log)).state.persistence_id
    except StoredDataError as error:
        raise type(error)(f"{log}: its id is unknown, and its events may be unpublished: {error}").about(
            topic=log.topic, offset=error.offset
        ) from error


def _topic_of(persistence_id: str, layout: Layout) -> str | None:
    try:
        return layout.log_of(persistence_id).topic
    except InvalidPersistenceId:
        return None


def _may_be_journal(name: str, config: JournalConfig) -> bool:
    key = collision_key(name)
    snapshots = config.snapshot_prefix and key.startswith(collision_key(config.snapshot_prefix))
    return name.startswith(config.prefix) and not key.startswith("__") and not snapshots
