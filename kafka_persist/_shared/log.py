"""One shared log in this process: its head and its index, the queue in front of it, and the one record in flight.

It is an `IdLog` whose record holds the waiting writes of many ids. The chain is the log's: the claim makes this process
the owner of all its ids, and whoever wrote before is fenced. Within the owner an id's writers are compared here, when a
write is accepted and again when it goes out: a claim of the id in between has replaced its writer.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import attrs

from .._core import chain as rule
from .._core.chain import Chain, Head
from .._core.entries import join_entries
from .._core.envelope import Envelope, decode_envelope, encode_envelope
from .._core.index import Index
from .._core.items import RUN_OVERHEAD, Marker, Run, State, encode_item
from .._core.items import Item as StoredItem
from .._journal.batch import Item, Result
from .._journal.idlog import IdLog, twin
from .._journal.known import Sent, Tools
from .._journal.reading import Counted
from ..driver import Log, Record
from ..errors import IndexUnusable, JournalTruncated, PersistenceError, WriterFenced, printable
from .contents import states_in, take_into
from .ladder import Ladder, Rung
from .pending import PendingIds
from .writers import Writers

_log = logging.getLogger("kafka_persist.journal")


class Moved(NamedTuple):
    """What cleaning appends.

    Attributes:
        item: an item that stands in the part of the log that will be cut off; None: the marker in front of the cut.
        offset: the record that holds it.
    """

    item: StoredItem | None
    offset: int

    @property
    def size(self) -> int:
        """How many bytes it takes up, about."""
        match self.item:
            case Run(persistence_id, _, _, _, entries):
                return RUN_OVERHEAD + len(persistence_id.encode()) + len(entries)
            case State(persistence_id):
                return RUN_OVERHEAD + len(persistence_id.encode())
            case _:
                return RUN_OVERHEAD


@attrs.define(eq=False)
class SharedItem(Item):
    """One atomic write, or one deletion, of one of the log's ids; or what cleaning appends.

    Attributes:
        persistence_id: whose.
        run: what a write stores; None for a deletion.
        delete_to: what a deletion deletes.
        moved: what cleaning appends.
        events: each event of a run, encoded, where some go to a topic.
        stored: what stands in the record that is in flight.
        number: its number among the items of the log, once it was handed over.
    """

    persistence_id: str = ""
    run: Run | None = None
    delete_to: int = 0
    moved: Moved | None = None
    events: Sequence[bytes] = ()
    stored: StoredItem | None = None
    number: int = 0


class SharedLog(IdLog):
    """A log of many ids.

    Args:
        name: what its records say of it.
        log: where it is.
        tools: the journal's.
        index: what is known of its ids.
        max_writers: how many ids may have a writer here.
    """

    __slots__ = (
        "broken",
        "index",
        "ladder",
        "on_claimed",
        "on_grown",
        "on_wish",
        "owner",
        "pending",
        "writers",
    )

    def __init__(self, name: str, log: Log, tools: Tools, index: Index, max_writers: int) -> None:
        super().__init__(name, log, tools)
        self.chain = Chain(name, shared=True)
        self.index = index
        self.broken: PersistenceError | None = None
        """Why the index cannot be used any more."""
        self.owner = b""
        """As whom this process claimed the log last."""
        self.writers = Writers(max_writers)
        self.pending = PendingIds()
        self.ladder = Ladder(Rung(*index.rung))
        """Where to begin to read what is not published."""
        self.on_claimed: Callable[[], None] | None = None
        """Called when this process has taken the log over."""
        self.on_grown: Callable[[], None] | None = None
        """Called when a record of this process counts."""
        self.on_wish: Callable[[State], None] | None = None
        """Called when another process tried to delete events and was too slow."""

    @property
    def owned(self) -> bool:
        """Whether this process holds the log, as far as it knows."""
        return bool(self.owner) and self.chain.head.writer == self.owner and not self.failure

    # --- reading -------------------------------------------------------------------------------------------------

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
            if on_counted is not None:
                on_counted(counted)

        self.check_index()
        try:
            found = await super()._read(chain, stop, take)
            self.index.head = found.head
            self._forget_rungs(found.head.published)
            self.index.check_complete(str(self.log))
            self.index.save()
        except IndexUnusable as error:
            self._give_index_up(error)
            raise
        return found

    def _look_at_skipped(self) -> Callable[[Record, Head], None] | None:
        """The owner fulfils deletions of others that its own records were faster than; else a busy log could not be deleted from."""
        return self._skipped if self.owned and self.on_wish is not None else None

    def _skipped(self, record: Record, _head: Head) -> None:
        if self.on_wish is not None and not self.tools.is_own_key(record.key):
            for state in states_in(decode_envelope(record.value, where := f"{self.log}@{record.offset}"), where):
                self.on_wish(state)

    def advance(self, offset: int, sent: Sent) -> None:
        """See `KnownLog.advance`; the index learns what is in the record."""
        super().advance(offset, sent)
        stored: Sequence[StoredItem] = [
            item.stored for item in sent.items if isinstance(item, SharedItem) and item.stored is not None
        ]
        stored = stored or states_in(sent.envelope, f"{self.log}@{offset}")
        self.ladder.add(Rung(self.chain.head.highest, offset))
        self._forget_rungs(self.chain.head.published)
        try:
            self.index.take(offset, stored, f"{self.log}@{offset}", len(sent.envelope.entries))
            self.index.head = self.chain.head
            self.index.save()
        except (
            PersistenceError
        ) as error:  # the record is stored, and its calls are told so: this is for those that follow
            self._give_index_up(error)
        if self.on_grown is not None:
            self.on_grown()

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

    # --- writers -------------------------------------------------------------------------------------------------

    def is_known_since_claim(self, persistence_id: str) -> bool:
        """Whether the index has all of an id, as a claim has just looked: true once, for the replay of a recovery, before any write.

        Who took the log over since then has fenced the claim's writer, which will be told so when it writes.
        """
        return self.owned and self.writers.take_just_claimed(persistence_id)

    def reserved_of(self, persistence_id: str) -> int:
        """The highest sequence number of an id, waiting writes included."""
        return max(self.pending.last(persistence_id), self.index.table.state(persistence_id).highest)

    def item_refusal(self, item: SharedItem) -> WriterFenced | None:
        """Why a write may not be stored, if it may not."""
        if not self.owned:
            refusal = self.refusal(self.owner)
            assert refusal is not None
            return refusal.about(item.persistence_id)
        if item.run is None or self.writers.get(item.persistence_id) == item.writer:
            return None
        return WriterFenced(
            f"the writer of {printable(item.persistence_id)} does not hold the id: "
            f"{self.writers.told(item.persistence_id)}. Certainly not stored; open the entity again to go on"
        ).about(item.persistence_id, self.log.topic, self.chain.head.offset)

    # --- writes --------------------------------------------------------------------------------------------------

    def accept(self, items: Sequence[SharedItem]) -> None:
        """Take writes and deletions that may be stored as things are now; they go out with what waits."""
        for item in items:
            self.writers.has_begun(item.persistence_id)
            if item.moved is None:
                self.pending.add(item.persistence_id, item.last)
        self.enqueue(items)

    def _belong_together(self, one: Item, other: Item) -> bool:
        return not (_is_marker(one) or _is_marker(other))  # it counts what is there before its record

    def _dropped(self, item: Item) -> None:
        assert isinstance(item, SharedItem)
        if item.moved is None:
            self.pending.done(item.persistence_id)

    def _send(self, items: Sequence[Item]) -> bool:
        """Submit one record; False if none of the writes may be stored (their calls then know)."""
        states: dict[str, tuple[int, int]] = {}
        kept: list[SharedItem] = []
        for item in items:
            assert isinstance(item, SharedItem)
            refusal: PersistenceError | None
            try:
                refusal = self.item_refusal(item) or self._prepare(item, states)
            except IndexUnusable as error:
                self._give_index_up(error)
                refusal = error
            if refusal is None and item.stored is not None:
                item.handed_over = True
                kept.append(item)
            else:
                item.settle(twin(refusal))
                self._dropped(item)
        if not kept:
            return False
        entries = join_entries([entry for item in kept for entry in item.entries])
        first = self.chain.head.highest + 1
        for number, item in enumerate(kept, first):
            item.number = number
        envelope = rule.events_envelope(self.chain, first + len(kept) - 1, entries, self._published_behind(kept))
        self._busy = True
        sent = Sent(self.tools.new_key(), envelope, kept)
        self.tools.driver.submit(self.log, sent.key, encode_envelope(envelope), partial(self._on_ack, sent))
        return True

    def _prepare(self, item: SharedItem, states: dict[str, tuple[int, int]]) -> WriterFenced | None:
        """Say what of an item stands in the record, behind the items of the same ids before it."""
        if item.moved is not None:
            self._prepare_moved(item, item.moved, states)
            return None
        name = item.persistence_id
        highest, floor = self._state_behind(name, states)
        if item.run is not None:
            if item.run.first <= highest:
                return WriterFenced(
                    f"event {item.run.first} of {printable(name)} was written meanwhile by somebody with the same writer uuid. "
                    "Certainly not stored; give each incarnation of an entity a uuid of its own"
                ).about(name, self.log.topic)
            item.stored = item.run
            states[name] = item.run.last, floor
            return None
        wanted = min(item.delete_to, highest)
        item.stored = State(name, highest, wanted) if wanted > floor else None
        if item.stored is not None:
            item.entries = [encode_item(item.stored)]
            states[name] = highest, wanted
        return None

    def _published_behind(self, items: Sequence[SharedItem]) -> int:
        """Up to where the log is published when these count: they are, too, if they go to no topic and nothing is missing."""
        head = self.chain.head
        nothing_missing = max(self.published, head.published) == head.highest
        if nothing_missing and self.tools.on_stored is not None and not any(item.topics for item in items):
            return head.highest + len(items)
        return self.published

    def _state_behind(self, persistence_id: str, states: dict[str, tuple[int, int]]) -> tuple[int, int]:
        """The highest number and the floor of an id, behind the items of the record so far."""
        if persistence_id not in states:
            state = self.index.table.state(persistence_id)
            states[persistence_id] = state.highest, state.floor
        return states[persistence_id]

    def _prepare_moved(self, item: SharedItem, moved: Moved, states: dict[str, tuple[int, int]]) -> None:
        """Say what of it has to be carried now: deletions may have come meanwhile, in this record, too."""
        if moved.item is None:
            item.stored = Marker(*self.index.counts)
        else:
            item.stored = self.index.still_alive(moved.item, moved.offset)
            if item.stored is not None and not isinstance(item.stored, Marker):
                highest, floor = self._state_behind(item.stored.persistence_id, states)
                if isinstance(item.stored, Run):
                    item.stored = item.stored if item.stored.last > floor else None
                else:
                    item.stored = item.stored._replace(highest=highest, floor=floor)
        if item.stored is not None:
            item.entries = [encode_item(item.stored)]

    def _finish(self, items: Sequence[Item], result: Result) -> None:
        for item in items:
            self._dropped(item)
        super()._finish(items, result)


def _is_marker(item: Item) -> bool:
    return isinstance(item, SharedItem) and item.moved is not None and item.moved.item is None
