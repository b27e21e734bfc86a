"""Which logs `kafka-persist verify` walks, in each layout, and which ids are in them."""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import attrs

from .._core.chain import Chain
from .._core.index import Index, MemoryTable
from .._index.lmdb_table import open_table
from .._journal.layout import TopicPerId
from .._journal.reading import Counted
from .._journal.verifying import IdReport, LogReport, Problem, walk
from .._publishing.id_discovery import each_stored_id
from .._shared.contents import take_into
from .._shared.place import log_name, partition_of
from ..config import JournalConfig
from ..driver import Driver, Log
from ..errors import StoredDataError, TopicMissing
from ..serialization import Serializer
from .stores import index_directory

Found: TypeAlias = Callable[[LogReport, Sequence[IdReport]], Awaitable[None]]
"""Is told of each log, with the ids in it that were asked for."""

IDS_AT_A_TIME = 500

SAVED_BYTES = 4 << 20
"""What of an index waits in memory, about."""


@attrs.frozen
class Verifier(abc.ABC):
    """Walks the logs of a journal.

    Attributes:
        driver: access to them.
        config: where they are.
        serializer: decodes payloads.
    """

    driver: Driver
    config: JournalConfig
    serializer: Serializer

    @abc.abstractmethod
    async def verify(self, persistence_id: str, found: Found) -> None:
        """Walk the log of an id; nothing is found if there is none.

        Raises:
            BrokerError: there was no answer.
        """

    @abc.abstractmethod
    async def verify_all(self, found: Found) -> None:
        """Walk all logs. Raises as `verify`."""


class TopicVerifier(Verifier):
    """For a topic for each id."""

    async def verify(self, persistence_id: str, found: Found) -> None:
        """See `Verifier.verify`."""
        log = TopicPerId(self.config).log_of(persistence_id)
        report = IdReport(persistence_id)

        def take(counted: Counted) -> None:
            if counted.first:
                of = (counted.first, counted.last, counted.writer)
                report.take(counted.value, counted.start, of, self.serializer, f"{log}@{counted.offset}")

        try:
            walked = await walk(self.driver, log, Chain(persistence_id), take)
        except TopicMissing:
            return
        if walked.head is not None:
            report.highest, report.floor, report.lost_to = walked.head.highest, walked.head.floor, walked.lost_to
        await found(walked, [report])

    async def verify_all(self, found: Found) -> None:
        """See `Verifier.verify_all`."""

        async def look(persistence_id: str) -> None:
            await self.verify(persistence_id, found)

        failures = await each_stored_id(self.driver, self.config, TopicPerId(self.config), look)
        for topic, error in sorted(failures.items()):
            if not isinstance(error, StoredDataError):
                raise error
            unknown = LogReport(Log(topic, self.config.partition), "")
            unknown.problems.append(Problem.of(error))
            await found(unknown, [])


class SharedVerifier(Verifier):
    """For logs that many ids share."""

    async def verify(self, persistence_id: str, found: Found) -> None:
        """See `Verifier.verify`."""
        await self._walk(partition_of(persistence_id, self.config.shared.partitions), persistence_id, found)

    async def verify_all(self, found: Found) -> None:
        """See `Verifier.verify_all`."""
        for partition in range(self.config.shared.partitions):
            await self._walk(partition, None, found)

    async def _walk(self, partition: int, persistence_id: str | None, found: Found) -> None:
        log = Log(self.config.shared_topic, partition)
        name = log_name(partition, self.config.shared.partitions)
        with index_directory(self.config) as folder, _open_index(folder, partition) as index:

            def take(counted: Counted) -> None:
                take_into(index, counted, log)
                if index.volume.log - saved_at[0] > SAVED_BYTES:
                    saved_at[0] = index.volume.log
                    index.save(now=True)  # only so that it leaves the memory: nobody reads this index again

            saved_at = [0]
            try:
                report = await walk(self.driver, log, Chain(name, shared=True), take)
            except TopicMissing:
                return
            await self._report(report, index, persistence_id, found)

    async def _report(self, report: LogReport, index: Index, persistence_id: str | None, found: Found) -> None:
        log = report.log
        if report.head is not None:
            try:
                index.check_complete(str(log))
            except StoredDataError as error:
                report.problems.append(Problem.of(error))
        await found(report, [self._look(index, log, name) for name in _ids(index, persistence_id)])

    def _look(self, index: Index, log: Log, persistence_id: str) -> IdReport:
        state = index.table.state(persistence_id)
        report = IdReport(persistence_id, highest=state.highest, floor=state.floor)
        for run in index.runs(persistence_id, state.floor + 1, state.highest):
            of = (run.first, run.last, run.writer)
            report.take(run.entries, 0, of, self.serializer, f"{log}@{run.offset}")
        return report


@contextmanager
def _open_index(directory: str, partition: int) -> Iterator[Index]:
    table = open_table(directory, partition, "verify") if directory else MemoryTable()
    try:
        yield Index(table)
    finally:
        table.close(keep=False)


def _ids(index: Index, persistence_id: str | None) -> list[str]:
    if persistence_id is not None:
        return [persistence_id] if index.table.state(persistence_id).highest else []
    names: list[str] = []
    while more := index.table.ids(names[-1] if names else "", IDS_AT_A_TIME):
        names += more
    return names


def verifier_of(driver: Driver, config: JournalConfig, serializer: Serializer) -> Verifier:
    """The one for the configured layout."""
    kind = TopicVerifier if config.layout == "topic-per-id" else SharedVerifier
    return kind(driver, config, serializer)
