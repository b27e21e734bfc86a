"""From the atomic writes of a call to a `Batch` of encoded items, with the rejections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import attrs

from .._core.envelope import encode_entry
from ..errors import EventMappingFailed, SequenceNrConflict, SerializationError, UsageError, printable
from ..model import AtomicWrite, PersistentRepr, Rejection
from ..serialization import Serializer
from .batch import Batch, Item
from .idlog import IdLog
from .registry import Registry


@attrs.frozen(kw_only=True)
class Encoder:
    """Encodes writes.

    Attributes:
        serializer: turns payloads into plain data.
        ids: the logs.
        topics_of: the user-defined topics of each event of a write.
        max_event_bytes: the largest event.
        max_write_seconds: how long a call may take.
    """

    serializer: Serializer
    ids: Registry
    topics_of: Callable[[AtomicWrite, IdLog], Sequence[tuple[str, ...]]]
    max_event_bytes: int
    max_write_seconds: float

    def encode(self, writes: Sequence[AtomicWrite]) -> Batch:
        """Turn payloads into bytes now, so that later changes to them do not matter; note the rejections.

        The caller closes the batch.
        """
        batch = Batch(len(writes), self.ids, self.max_write_seconds)
        try:
            self._encode_into(batch, writes)
        except BaseException:
            batch.close()
            raise
        return batch

    def _encode_into(self, batch: Batch, writes: Sequence[AtomicWrite]) -> None:
        for index, write in enumerate(writes):
            if not isinstance(write, AtomicWrite):
                raise UsageError(f"write() takes AtomicWrite objects, not {type(write).__name__}")
            idlog = batch.log_of(write.persistence_id)
            try:
                entries = [self._encode_event(event, idlog) for event in write.events]
                topics = self.topics_of(write, idlog)
            except (SerializationError, EventMappingFailed) as error:
                batch.results[index] = Rejection(str(error), error)
                continue
            size = sum(map(len, entries))
            if (rejection := self._too_large(write, entries, size, idlog.room)) is not None:
                batch.results[index] = rejection
                continue
            first, last = write.first_sequence_nr, write.last_sequence_nr
            batch.add(Item(batch, idlog, index, write.writer.bytes, first, last, entries, size, topics))

    def _encode_event(self, event: PersistentRepr, idlog: IdLog) -> bytes:
        timestamp = event.timestamp or idlog.timestamp()
        return encode_entry(event, self.serializer.dump(event.payload), timestamp=timestamp)

    def _too_large(self, write: AtomicWrite, entries: Sequence[bytes], size: int, room: int) -> Rejection | None:
        limit = self.max_event_bytes
        for event, entry in zip(write.events, entries, strict=True):
            if len(entry) > limit:
                return Rejection(
                    f"event {event.sequence_nr} of {printable(write.persistence_id)} has {len(entry)} bytes; the limit "
                    f"is {limit} (max-event-bytes)"
                )
        if size > room:
            return Rejection(
                f"an atomic write of {printable(write.persistence_id)} has {size} bytes; one record holds "
                f"{max(0, room)} (max-record-bytes)"
            )
        return None


def check_numbers(idlog: IdLog, items: Iterable[Item], *, first: bool = False) -> None:
    """Refuse numbers that are used already.

    Args:
        idlog: where the items go.
        items: of one call.
        first: they go before all that waits, which was called later.

    Raises:
        SequenceNrConflict: with the number that would be next.
    """
    highest = idlog.chain.head.highest if first else idlog.reserved
    for item in items:
        if item.first <= highest:
            raise SequenceNrConflict(
                f"{printable(idlog.chain.persistence_id)}: a write starts at sequence number {item.first}, but "
                f"{highest} is used already; the next one is {highest + 1}. Nothing of this call was stored"
            )
        highest = item.last
