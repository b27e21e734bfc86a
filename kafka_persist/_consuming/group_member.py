"""One process's part of a read model that several processes share.

Theory of operation. Kafka's consumer group says which process has which partition; the store decides who may write. A partition
that comes here is claimed in the store, which fences whoever had it, and read from the stored position on. The group may be
wrong for a while: a process that stood still believes that it has what others have by now. Its transactions are refused, it
waits a moment, in which it learns what it has lost, and claims what it still believes to have. If it was wrong again, the
rightful owner is refused once, and claims again. Each event is applied once whoever is right, as a claim and a batch exclude
each other, and positions move with the batches.

While a batch is applied for long, because an event is tried again, say, the group is served beside it: otherwise the other
members would wait with their rebalance.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from .._lifecycle import background, open_nursery
from ..driver import Log
from ..errors import PersistenceError, ProjectionFailed, ProjectionFenced, printable
from .applying import Applier
from .projection_store import Place, ProjectionStore, beginnings

if TYPE_CHECKING:
    from .._kafka.group import EventReader, RawEvent

_log = logging.getLogger("kafka_persist.projection")

SERVE_AFTER: Final = 1.0
"""Seconds after which the group is served beside a batch: pausing throws away what the client has fetched ahead."""


class GroupMember:
    """Applies the events of those partitions that the group gives to this process."""

    def __init__(
        self, reader: EventReader, topics: Sequence[str], store: ProjectionStore, applier: Applier, *, batch: int
    ) -> None:
        self._reader = reader
        self._topics = topics
        self._store = store
        self._applier = applier
        self._batch = batch
        self._next: dict[Log, int] = {}
        self._passed: dict[Log, int] = {}
        self._waiting: list[RawEvent] = []
        self._applying = trio.Lock()  # a claim between two parts of a batch would make its older records look right

    @property
    def partitions(self) -> Sequence[Place]:
        """What is read here now."""
        return sorted((log.topic, log.partition) for log in self._reader.partitions)

    async def run(self) -> None:
        """Take part in the group, forever."""
        self._reader.subscribe(self._topics)
        async with background("the projection") as tasks:
            tasks.spawn(self._reader.place, self._claim)
            while True:
                await self._step()

    async def _claim(self, logs: Sequence[Log]) -> Mapping[Log, int]:
        """Claim partitions that have come here; returns where they begin.

        Raises:
            JournalHeadLost: events were removed before they were applied.
            PersistenceError: the store, or the brokers, failed.
        """
        async with self._applying:
            try:
                places = [(log.topic, log.partition) for log in logs]
                await self._applier.in_store(partial(self._store.claim, places))
                known = await self._applier.in_store(self._store.positions)
            except PersistenceError:
                raise
            except Exception as error:
                raise ProjectionFailed(
                    f"the store failed while partitions were claimed: {type(error).__name__}: {printable(str(error), 200)}"
                ) from error
            found = beginnings(known, await self._reader.look_up(partial(self._reader.starts, logs)))
            self._next.update(found)
        _tell("projection.claimed", f"applies events of {_names(logs)} from now on")
        return found

    async def _step(self) -> None:
        records = self._waiting + await self._reader.read(wanted=True)
        self._waiting = []
        try:
            for start in range(0, len(records), self._batch):
                await self._apply(records[start : start + self._batch])
            if not self._waiting:  # else not everything below the ends has been applied
                await self._note_passed(idle=not records)
        except ProjectionFenced as error:
            logs = {record.log for record in records}.union(self._passed)
            _tell("projection.fenced", f"{error}. What the group still gives to this process is claimed again")
            self._read_again(logs)
        except BaseException:
            self._read_again(self._reader.partitions)  # what was taken from the client may not be applied
            raise

    def _read_again(self, logs: Sequence[Log] | set[Log]) -> None:
        for log in logs:
            self._passed.pop(log, None)
        self._reader.read_again(logs)

    async def _apply(self, records: Sequence[RawEvent]) -> None:
        async with self._applying:
            fresh = [each for each in records if self._reader.owns(each) and each.offset >= self._next[each.log]]
            if not fresh:
                return
            failure: Exception | None = None
            async with open_nursery() as nursery:
                nursery.start_soon(self._serve_group)
                try:
                    await self._applier.apply(fresh, self._next)
                except Exception as error:  # noqa: BLE001 - raised behind the nursery, which would wrap it
                    failure = error
                nursery.cancel_scope.cancel()
            if failure is not None:
                raise failure
        for record in {record.log: record for record in fresh}.values():
            self._reader.finish(record)

    async def _serve_group(self) -> None:
        """Tell the group that this member lives, while a batch takes its time."""
        await trio.sleep(SERVE_AFTER)
        try:
            while True:
                self._waiting += await self._reader.read(wanted=False)
        except PersistenceError as error:
            _log.debug("serving the group: %s", error)  # the next `read` meets it as well, if it lasts

    async def _note_passed(self, *, idle: bool) -> None:
        """Where nothing comes any more, store the ends that were passed: the ends of transactions are no events."""
        await trio.lowlevel.checkpoint()
        for log, end in self._reader.ends_reached.items():
            if end > self._next.get(log, end):
                self._next[log] = self._passed[log] = end
        if idle and self._passed:
            passed, self._passed = self._passed, {}
            mine = {(log.topic, log.partition): end for log, end in passed.items() if log in self._reader.partitions}
            if mine:
                await self._applier.in_store(partial(self._store.advance, mine))


def _names(logs: Sequence[Log]) -> str:
    return ", ".join(map(str, sorted(logs, key=str)))


def _tell(event: str, text: str) -> None:
    _log.info("%s", text, extra={"event": event})
