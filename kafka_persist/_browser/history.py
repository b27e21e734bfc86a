"""What only the logs themselves tell: who claimed, what was fenced, and how far events are published."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final
from uuid import UUID

import attrs

from .._core.chain import Chain, Head
from .._core.envelope import Kind, decode_claimant
from .._journal.layout import TopicPerId
from .._journal.reading import Counted, catch_up
from .._journal.verifying import LogReport, walk
from .._shared.place import log_name, partition_of
from ..config import JournalConfig
from ..driver import Driver, Log
from ..errors import StoredDataError, TopicMissing

MAX_CLAIMS: Final = 200
"""Claims that are listed: the newest."""

MAX_LOGS: Final = 200
"""Logs whose heads are remembered, so that the next look reads only what is new."""


@attrs.frozen
class ClaimRow:
    """A claim, or a deletion.

    Attributes:
        offset: the record.
        epoch: the number of the claim.
        writer: who may write from here on.
        who: the process that made it, if it told.
        highest: the highest number at that place (in a shared log: of items).
        deleted_to: for a deletion, up to which number.
    """

    offset: int
    epoch: int
    writer: str
    who: str
    highest: int
    deleted_to: int | None = None


@attrs.frozen
class Story:
    """One log from its start.

    Attributes:
        report: what counts, what does not and why, and what is wrong.
        claims: claims and deletions, the newest last, at most `MAX_CLAIMS`.
        more: how many older ones are not listed.
    """

    report: LogReport
    claims: tuple[ClaimRow, ...]
    more: int


@attrs.frozen
class Published:
    """How far a log is published: in events of its id, or in items of a shared log."""

    log: Log
    owner: str
    published: int
    highest: int

    @property
    def behind(self) -> int:
        """What is not known to be published."""
        return self.highest - self.published


class History:
    """Reads logs from their start, and forgets all but what is shown.

    Args:
        driver: access to them.
        config: where they are.
    """

    def __init__(self, driver: Driver, config: JournalConfig) -> None:
        self._driver = driver
        self.config = config
        self._known: OrderedDict[Log, Chain] = OrderedDict()

    def __repr__(self) -> str:
        return f"<History, {len(self._known)} logs known>"

    @property
    def is_shared(self) -> bool:
        """Whether a log holds many ids."""
        return self.config.layout == "shared"

    def chain_of(self, persistence_id: str) -> tuple[Log, Chain]:
        """The log of an id, with nothing judged yet."""
        if self.is_shared:
            return self._shared(partition_of(persistence_id, self.config.shared.partitions))
        return TopicPerId(self.config).log_of(persistence_id), Chain(persistence_id)

    def _shared(self, partition: int) -> tuple[Log, Chain]:
        name = log_name(partition, self.config.shared.partitions)
        return Log(self.config.shared_topic, partition), Chain(name, shared=True)

    async def story(self, persistence_id: str) -> Story | None:
        """Walk the log of an id; None if there is none.

        Raises:
            BrokerError: there was no answer.
        """
        log, chain = self.chain_of(persistence_id)
        claims: deque[ClaimRow] = deque(maxlen=MAX_CLAIMS)
        count = 0

        def take(counted: Counted) -> None:
            nonlocal count
            if (row := claim_row(counted, log)) is not None:
                claims.append(row)
                count += 1

        try:
            report = await walk(self._driver, log, chain, take)
        except TopicMissing:
            return None
        return Story(report, tuple(claims), count - len(claims))

    async def published(self, persistence_id: str) -> Published | None:
        """How far the log of an id is published; None if there is no log.

        Raises:
            StoredDataError: it is damaged.
            BrokerError: there was no answer.
        """
        return await self._published(*self.chain_of(persistence_id))

    async def published_logs(self) -> list[Published]:
        """The same, of all shared logs."""
        found = [await self._published(*self._shared(each)) for each in range(self.config.shared.partitions)]
        return [each for each in found if each is not None]

    async def _published(self, log: Log, start: Chain) -> Published | None:
        try:
            head = await self._head(log, start)
        except TopicMissing:
            return None
        return Published(log, start.persistence_id, head.published, head.highest)

    async def _head(self, log: Log, start: Chain) -> Head:
        before = self._known.pop(log, start)
        try:
            chain = await catch_up(self._driver, log, before)
        except StoredDataError:
            if before is start:
                raise
            chain = await catch_up(self._driver, log, start)  # made anew meanwhile, perhaps
        self._known[log] = chain
        while len(self._known) > MAX_LOGS:
            self._known.popitem(last=False)
        return chain.head


def claim_row(counted: Counted, log: Log) -> ClaimRow | None:
    """What is shown of a record that counts, if it is a claim or a deletion."""
    envelope = counted.envelope
    if envelope is None or envelope.kind is Kind.EVENTS:
        return None
    is_claim = envelope.kind is Kind.CLAIM
    who = str(decode_claimant(envelope.entries, str(log))) if is_claim and envelope.entries else ""
    floor = None if is_claim else envelope.state.floor
    return ClaimRow(counted.offset, envelope.epoch, str(UUID(bytes=envelope.writer)), who, envelope.state.last, floor)
