"""One shared log in this process: its head and its index, the queue in front of it, and the one record in flight.

It is an `IdLog` whose record holds the waiting writes of many ids. The chain is the log's: the claim makes this process
the owner of all its ids, and whoever wrote before is fenced. Within the owner an id's writers are compared here, when a
write is accepted and again when it goes out: a claim of the id in between has replaced its writer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from .._core import chain as rule
from .._core.chain import Head, Verdict
from .._core.entries import join_entries
from .._core.envelope import Envelope, decode_envelope, encode_envelope
from .._core.index import Index
from .._core.items import Item as StoredItem
from .._core.items import Marker, Run, State, encode_item
from .._journal.batch import Item, Result
from .._journal.idlog import CLOSED_TOO_EARLY, twin
from .._journal.known import Sent, Tools
from ..driver import Ack, Fate, Log, Record
from ..errors import (
    ClaimOutcomeUnknown,
    IndexUnusable,
    PersistenceError,
    StoredDataError,
    WriteOutcomeUnknown,
    WriterFenced,
    printable,
)
from .contents import states_in
from .indexed import IndexedLog
from .pending import PendingIds
from .riding import Riders
from .settling import decide
from .unit import note_result, refusal_in
from .waiting import Moved, SharedItem, is_marker
from .writers import Writers


class SharedLog(IndexedLog):
    """A log of many ids.

    Args:
        name: what its records say of it.
        log: where it is.
        tools: the journal's.
        index: what is known of its ids.
        max_writers: how many ids may have a writer here.
    """

    __slots__ = (
        "_settling",
        "in_flight",
        "on_claimed",
        "on_sent",
        "on_wish",
        "owner",
        "pending",
        "riders",
        "writers",
    )

    def __init__(self, name: str, log: Log, tools: Tools, index: Index, max_writers: int) -> None:
        super().__init__(name, log, tools, index)
        self.owner = b""
        """As whom this process claimed the log last."""
        self.writers = Writers(max_writers)
        self.pending = PendingIds()
        self.riders = Riders()
        self.on_claimed: Callable[[], None] | None = None
        """Called when this process has taken the log over."""
        self.on_sent: Callable[[], None] | None = None
        """Called when a record was handed over."""
        self.in_flight: Sent | None = None
        """The record that has no answer, or an unclear one."""
        self._settling = False
        self.on_wish: Callable[[State], None] | None = None
        """Called when another process tried to delete events and was too slow."""

    @property
    def sends_soon(self) -> bool:
        """See `IdLog.sends_soon`; not while it is open what became of the record in flight."""
        return not self._settling and super().sends_soon

    @property
    def owned(self) -> bool:
        """Whether this process holds the log, as far as it knows."""
        return bool(self.owner) and self.chain.head.writer == self.owner and not self.failure

    # --- reading -------------------------------------------------------------------------------------------------

    def _look_at_skipped(self) -> Callable[[Record, Head], None] | None:
        """The owner fulfils deletions of others that its own records were faster than; else a busy log could not be deleted from."""
        return self._skipped if self.owned and self.on_wish is not None else None

    def _skipped(self, record: Record, _head: Head) -> None:
        if self.on_wish is not None and not self.tools.is_own_key(record.key):
            for state in states_in(decode_envelope(record.value, where := f"{self.log}@{record.offset}"), where):
                self.on_wish(state)

    def _items_of(self, sent: Sent, offset: int) -> Sequence[StoredItem]:
        stored = [item.stored for item in sent.items if isinstance(item, SharedItem) and item.stored is not None]
        return stored or super()._items_of(sent, offset)

    # --- writers -------------------------------------------------------------------------------------------------

    def is_known_since_claim(self, persistence_id: str) -> bool:
        """Whether the index has all of an id, as a claim has just looked: true once, for the replay of a recovery, before any write.

        Who took the log over since then has fenced the claim's writer, which will be told so when it writes. What another process
        has deleted since then is still in it: a recovery is of the moment of its claim.
        """
        return self.owned and self.writers.take_just_claimed(persistence_id)

    def reserved_of(self, persistence_id: str) -> int:
        """The highest sequence number of an id, waiting writes included."""
        return max(self.pending.last(persistence_id), self.index.table.state(persistence_id).highest)

    def item_refusal(self, item: SharedItem) -> WriterFenced | None:
        """Why a write may not be stored, if it may not."""
        if not self.owned:
            return self._not_owned(item.persistence_id)
        if item.run is None or self.writers.get(item.persistence_id) == item.writer:
            return None
        return WriterFenced(
            f"the writer of {printable(item.persistence_id)} does not hold the id: "
            f"{self.writers.told(item.persistence_id)}. Certainly not stored; open the entity again to go on"
        ).about(item.persistence_id, self.log.topic, self.chain.head.offset)

    def _name_of(self, item: Item) -> str:
        assert isinstance(item, SharedItem)
        return item.persistence_id or self.chain.persistence_id

    def _not_owned(self, persistence_id: str) -> WriterFenced:
        name, head = printable(persistence_id), self.chain.head
        if self.failure:
            told = f"no writer can go on in {self.log}, which holds {name}: {self.failure}. Certainly not stored; open the entity again"
        elif self.holder is not None and self.holder[0] == head.epoch and head.writer != self.owner:
            told = (
                f"{self.log}, which holds {name} and other ids, was taken over by {self.claimant_told}, and writes of this process "
                "are fenced there. Certainly not stored. Two processes that use ids of one log take it from each other: let each "
                "log's ids be used by one process, and open the entity again only if that is this one"
            )
        else:
            told = f"this process does not own {self.log}, which holds {name}. Certainly not stored; open the entity, which takes the log over"
        return WriterFenced(told).about(persistence_id, self.log.topic, head.offset)

    # --- writes --------------------------------------------------------------------------------------------------

    def accept(self, items: Sequence[SharedItem]) -> None:
        """Take writes and deletions that may be stored as things are now; they go out with what waits."""
        for item in items:
            self.writers.has_begun(item.persistence_id)
            if item.moved is None:
                self.pending.add(item.persistence_id, item)
        self.enqueue(items)

    def _belong_together(self, one: Item, other: Item) -> bool:
        return not (is_marker(one) or is_marker(other))  # it counts what is there before its record

    def _dropped(self, item: Item) -> None:
        assert isinstance(item, SharedItem)
        if item.moved is None:
            self.pending.done(item.persistence_id, item)

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
            refusal = refusal_in(item.unit, refusal)
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
        last, commands = first + len(kept) - 1, max(item.commands for item in kept)
        envelope = rule.events_envelope(self.chain, last, entries, self._published_behind(kept), commands)
        self._busy = True
        self.riders.depart()
        sent = self.in_flight = Sent(self.tools.new_key(), envelope, kept)
        if self.on_sent is not None:
            self.on_sent()
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

    # --- answers -------------------------------------------------------------------------------------------------

    def _on_ack(self, sent: Sent, ack: Ack) -> None:
        """See `IdLog._on_ack`; an answer to what is being settled comes too late."""
        if sent is not self.in_flight or self._settling:
            return
        if (
            ack.fate is Fate.STORED
            and ack.offset is not None
            and rule.verdict(self.chain, ack.offset) is Verdict.COUNTS
        ):
            self.advance(ack.offset, sent)
            self._finish(sent.items, None)
        else:
            self.settle(sent, ack)

    def settle(self, sent: Sent, ack: Ack) -> None:
        """Find out what became of the record in flight, and go on then; calls do not wait longer than their time."""
        if sent is self.in_flight and not self._settling:
            self._settling = True
            self.riders.leave()
            if not self.tools.spawn(self._resolve, sent, ack):
                self._finish_unknown(sent, CLOSED_TOO_EARLY)

    async def decide(self, sent: Sent, ack: Ack) -> tuple[Result, bool]:
        """What an answer says about a record's writes (see `settling`)."""
        return await self._decide(sent, ack)

    def submit(self, envelope: Envelope, on_ack: Callable[[Ack], None]) -> None:
        """Hand over a record without writes; what becomes of it, the next reading says."""
        self.tools.driver.submit(self.log, self.tools.new_key(), encode_envelope(envelope), on_ack)

    def refusal_of(self, sent: Sent) -> WriterFenced | None:
        """Why a record that does not count may not go out again, if it may not."""
        return self.refusal(sent.envelope.writer) or self._superseded(sent.envelope)

    async def _resolve(self, sent: Sent, ack: Ack) -> None:
        result: Result = None
        unknown, again = CLOSED_TOO_EARLY, False
        try:
            result, again = await decide(self, sent, ack)
            unknown = ""
        except StoredDataError as error:
            self.failure, unknown = "the log is damaged", ""
            result = error.about(self.chain.persistence_id, self.log.topic, ack.offset)
        except WriteOutcomeUnknown as error:
            unknown = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this log's: the others go on
            self.failure, unknown = "the outcome of an earlier record is unknown", repr(error)
        finally:
            if unknown:
                self._finish_unknown(sent, unknown)
            elif again:
                self._send_again(sent)
            else:
                self._finish(sent.items, result)

    def _send_again(self, sent: Sent) -> None:
        """Its writes are certainly not stored: those that have time left go out with what waits."""
        for item in sent.items:
            item.handed_over = False
        self._busy, self.in_flight, self._settling = False, None, False
        self._queue.extendleft(reversed(sent.items))
        self._pump()

    def give_up(self, item: Item) -> None:
        """The time of the item's call is up; the log goes on to find out what became of its record."""
        if item.handed_over:
            self._settle_unknown(item, "there was no certain answer within delivery-timeout")
        else:
            super().give_up(item)

    def _settle_unknown(self, item: Item, reason: str) -> None:
        """Nobody can say what became of it; the others in its record are asked one by one, and other ids not at all."""
        assert isinstance(item, SharedItem)
        name = printable(item.persistence_id)
        if item.run is None:
            unknown: WriteOutcomeUnknown = ClaimOutcomeUnknown(
                f"a deletion of events of {name} may or may not have happened ({reason}). Trying again is safe"
            )
        else:
            unknown = WriteOutcomeUnknown(
                f"a write of {name} may or may not be stored ({reason}). This writer is finished for the id: open the entity "
                "again, which decides it"
            )
            self.writers.end(item.persistence_id, item.writer)
        item.settle(unknown.about(item.persistence_id, self.log.topic))

    def _finish_unknown(self, sent: Sent, reason: str) -> None:
        for item in sent.items:
            if not item.settled:
                self._settle_unknown(item, reason)
        self._finish(sent.items, WriteOutcomeUnknown(reason))

    def _finish(self, items: Sequence[Item], result: Result) -> None:
        self.in_flight, self._settling = None, False
        for item in items:
            self._dropped(item)
            if isinstance(result, WriterFenced) and isinstance(item, SharedItem):
                item.settle(self._not_owned(item.persistence_id))
        note_result((item.unit for item in items if isinstance(item, SharedItem)), result)
        self.riders.arrive(result is None and self.owned)
        super()._finish(items, result)

    def _pump(self) -> None:
        super()._pump()
        if not self._busy:
            self.riders.cancel()
