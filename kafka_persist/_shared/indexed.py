"""A shared log with its index: whatever of it is read, or written here, is in the index when it counts."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from .._core import chain as rule
from .._core.chain import Chain
from .._core.envelope import Envelope
from .._core.follower import Follower
from .._core.index import Index
from .._core.items import Item as StoredItem
from .._journal.idlog import IdLog
from .._journal.known import Sent, Tools
from .._journal.reading import Counted
from ..driver import Log
from ..errors import IndexUnusable, JournalTruncated, PersistenceError
from .contents import states_in, take_into
from .ladder import Ladder, Rung
from .settling import Watch

_log = logging.getLogger("kafka_persist.journal")


class IndexedLog(IdLog):
    """A log of many ids, as far as it is known.

    Args:
        name: what its records say of it.
        log: where it is.
        tools: the journal's.
        index: what is known of its ids.
    """

    __slots__ = ("_watch", "broken", "index", "ladder", "on_grown")

    def __init__(self, name: str, log: Log, tools: Tools, index: Index) -> None:
        super().__init__(name, log, tools)
        self.chain = Chain(name, shared=True)
        self.index = index
        self.broken: PersistenceError | None = None
        """Why the index cannot be used any more."""
        self.ladder = Ladder(Rung(*index.rung))
        """Where to begin to read what is not published."""
        self.on_grown: Callable[[], None] | None = None
        """Called when a record of this process counts."""
        self._watch: Watch | None = None

    async def _start_at_hint(self) -> None:
        """Begin where the index ends, if the log still has the record that it stands for."""
        if self.index.head.offset < 0:
            return
        self.hint = self.index.head
        try:
            await super()._start_at_hint()
        except JournalTruncated as error:
            _log.warning(
                "%s: the index is of another history of this log, and is built anew: %s",
                self.log,
                error,
                extra={"event": "index.rebuilt"},
            )
            self.index.clear()
            self.ladder = Ladder(Rung())

    async def _read(self, chain: Chain, stop: int | None, on_counted: Callable[[Counted], None] | None) -> Chain:
        def take(counted: Counted) -> None:
            take_into(self.index, counted, self.log)
            self.ladder.add(Rung(counted.last, counted.offset))
            if self._watch is not None:
                self._watch.look(counted, self.log)
            if on_counted is not None:
                on_counted(counted)

        def on_batch(follower: Follower) -> None:
            # What is behind the start of a log that was cut is only believed; what was saved would not be compared again.
            if follower.chain.base is None and self.index.complete:
                self.index.head = follower.chain.head
                self.index.save(now=True)

        self.check_index()
        try:
            found = await self._catch_up(chain, stop, take, on_batch)
            self.index.head = found.head
            self._forget_rungs(found.head.published)
            self.index.check_complete(str(self.log))
            self.index.save()
        except IndexUnusable as error:
            self._give_index_up(error)
            raise
        return found

    @contextmanager
    def watching(self, sent: Sent) -> Iterator[Watch]:
        """Look out for a record in all that is read meanwhile."""
        watch = self._watch = Watch(sent)
        try:
            yield watch
        finally:
            self._watch = None

    async def find(self, sent: Sent) -> int | None:
        """Read to the log's end; where a record of ours counts, if it does (see `landed`)."""
        return await self._read_gap(sent, None)

    def advance(self, offset: int, sent: Sent) -> None:
        """See `KnownLog.advance`; the index learns what is in the record."""
        super().advance(offset, sent)
        self.ladder.add(Rung(self.chain.head.highest, offset))
        self._forget_rungs(self.chain.head.published)
        try:
            self.index.take(offset, self._items_of(sent, offset), f"{self.log}@{offset}", len(sent.envelope.entries))
            self.index.head = self.chain.head
            self.index.save()
        except (
            PersistenceError
        ) as error:  # the record is stored, and its calls are told so: this is for those that follow
            self._give_index_up(error)
        if self.on_grown is not None:
            self.on_grown()

    def _items_of(self, sent: Sent, offset: int) -> Sequence[StoredItem]:
        """What stands in a record of this process."""
        return states_in(sent.envelope, f"{self.log}@{offset}")

    def _forget_rungs(self, published: int) -> None:
        self.ladder.forget_below(max(published, self.published))
        self.index.rung = self.ladder.lowest

    @property
    def clean_below(self) -> int:
        """Offsets below it may be cut off: they are not the head, and nothing there is still to be published."""
        published = max(self.chain.head.published, self.published)
        if not published and self.tools.on_stored is None:
            return self.chain.head.offset
        return min(self.chain.head.offset, self.ladder.below(published).offset)

    def chain_behind(self, offset: int, envelope: Envelope) -> Chain:
        """The chain behind a record that is known to count."""
        return rule.advance(Chain(self.chain.persistence_id, shared=True), offset, envelope)

    def _give_index_up(self, error: PersistenceError) -> None:
        if self.broken is None:
            _log.error("%s: %s", self.log, error, extra={"event": "index.failed"})
            self.broken, self.failure = error, "its index cannot be used"

    def check_index(self) -> None:
        """Refuse to go on with an index that failed.

        Raises:
            IndexUnusable: it failed.
        """
        if self.broken is not None:
            raise copy.copy(self.broken) from self.broken.__cause__

    def release(self) -> None:
        """Let go of the index; what it knows is kept if it is whole."""
        try:
            self.index.table.close(keep=self.broken is None and self.index.offset == self.index.head.offset)
        except PersistenceError as error:
            _log.warning("%s: the index is not kept: %s", self.log, error, extra={"event": "index.not-kept"})
