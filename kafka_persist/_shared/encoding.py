"""From the atomic writes of a call to items of shared logs, with the rejections."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from .._core.entries import encode_entry, join_entries
from .._core.items import CARRIED_EXTRA_BYTES, Run, encode_item
from .._journal.batch import Batch
from ..errors import EventMappingFailed, SerializationError, UsageError, printable
from ..limits import entries_room
from ..model import AtomicWrite, Rejection
from ..serialization import Serializer
from .log import SharedLog
from .waiting import SharedItem


@attrs.frozen(kw_only=True)
class SharedEncoder:
    """Encodes writes.

    Attributes:
        serializer: turns payloads into plain data.
        log_of: the log of an id.
        topics_of: the user-defined topics of each event of a write.
        max_event_bytes: the largest event.
        max_record_bytes: the largest record.
        max_write_seconds: how long a call may take.
    """

    serializer: Serializer
    log_of: Callable[[str], SharedLog]
    topics_of: Callable[[AtomicWrite], Sequence[tuple[str, ...]]]
    max_event_bytes: int
    max_record_bytes: int
    max_write_seconds: float

    def encode(self, writes: Sequence[AtomicWrite]) -> Batch:
        """Turn payloads into bytes now, so that later changes to them do not matter; note the rejections."""
        batch = Batch(len(writes), None, self.max_write_seconds)
        for index, write in enumerate(writes):
            if not isinstance(write, AtomicWrite):
                raise UsageError(f"write() takes AtomicWrite objects, not {type(write).__name__}")
            try:
                self._encode(batch, index, write)
            except (SerializationError, EventMappingFailed) as error:
                batch.results[index] = Rejection(str(error), error)
        return batch

    def _encode(self, batch: Batch, index: int, write: AtomicWrite) -> None:
        name, log = write.persistence_id, self.log_of(write.persistence_id)
        entries: list[bytes] = []
        for event in write.events:
            timestamp = event.timestamp or log.timestamp()
            entry = encode_entry(event, self.serializer.dump(event.payload), timestamp=timestamp)
            if len(entry) > self.max_event_bytes:
                batch.results[index] = Rejection(
                    f"event {event.sequence_nr} of {printable(name)} has {len(entry)} bytes; the limit is "
                    f"{self.max_event_bytes} (max-event-bytes)"
                )
                return
            entries.append(entry)
        topics = self.topics_of(write)
        first, last = write.first_sequence_nr, write.last_sequence_nr
        run = Run(name, write.writer.bytes, first, last, join_entries(entries))
        encoded = encode_item(run)
        room = entries_room(self.max_record_bytes, log.chain.persistence_id) - CARRIED_EXTRA_BYTES
        if len(encoded) > room:
            batch.results[index] = Rejection(
                f"an atomic write of {printable(name)} has {len(encoded)} bytes; one record holds {max(0, room)} "
                "(max-record-bytes)"
            )
            return
        item = SharedItem(batch, log, index, run.writer, first, last, [encoded], len(encoded), topics)
        item.persistence_id, item.run = name, run
        if topics:
            item.events = entries
        batch.add(item)
