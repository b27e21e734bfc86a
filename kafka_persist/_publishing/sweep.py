"""Finding the ids of a journal: whose events may have been stored by a dead process and never published."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

import trio

from .._core.envelope import decode_envelope
from .._core.header import is_record
from .._journal.layout import Layout
from ..config import JournalConfig
from ..driver import Driver, Log
from ..errors import InvalidPersistenceId, StoredDataError, TopicMissing
from ..naming import collision_key

T = TypeVar("T")

_log = logging.getLogger("kafka_persist.publishing")

AT_ONCE: Final = 16
"""Topics that are looked at together."""


async def stored_ids(driver: Driver, config: JournalConfig, layout: Layout) -> list[str]:
    """List the persistence ids of a journal: each topic's first record says whose it is.

    Raises:
        BrokerError: the topics cannot be listed or read.
    """
    names = {name for name in await driver.topic_names() if _may_be_journal(name, config)}
    found: list[str] = []

    async def look(name: str) -> None:
        owner = await _owner(driver, Log(name, config.partition))
        if owner is not None and _topic_of(owner, layout) == name:
            found.append(owner)

    await for_each(sorted(names), look)
    return sorted(found)


async def for_each(items: Iterable[T], async_fn: Callable[[T], Awaitable[None]]) -> None:
    """Call ``async_fn(item)`` for all items, a few at a time; the first error ends it, bare."""
    rest, errors = iter(items), list[Exception]()

    async def work() -> None:
        for item in rest:
            try:
                await async_fn(item)
            except Exception as error:  # noqa: BLE001 - raised again below, outside the nursery
                errors.append(error)
                nursery.cancel_scope.cancel(reason="another one failed")

    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(work)
    if errors:
        raise errors[0]


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


async def _owner(driver: Driver, log: Log) -> str | None:
    """The id whose journal this log is; None if it is none, or empty."""
    try:
        value = await first_value(driver, log)
    except TopicMissing:
        return None  # deleted meanwhile, or without that partition
    if not is_record(value):
        return None
    try:
        return decode_envelope(value, str(log)).states[0].persistence_id
    except StoredDataError as error:
        _log.warning("%s: its id is unknown, and its events may be unpublished: %s", log, error)
        return None


def _topic_of(persistence_id: str, layout: Layout) -> str | None:
    try:
        return layout.log_of(persistence_id).topic
    except InvalidPersistenceId:
        return None


def _may_be_journal(name: str, config: JournalConfig) -> bool:
    key = collision_key(name)
    snapshots = config.snapshot_prefix and key.startswith(collision_key(config.snapshot_prefix))
    return name.startswith(config.prefix) and not key.startswith("__") and not snapshots
