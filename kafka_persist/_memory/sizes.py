"""What a journal in Kafka would reject as too large, so that tests in memory find it."""

from __future__ import annotations

import attrs

from kafka_persist._core.entries import encode_entry
from kafka_persist.limits import entries_room
from kafka_persist.model import AtomicWrite, Rejection
from kafka_persist.serialization import Serializer


@attrs.frozen
class KafkaSizes:
    """The limits of a journal's configuration.

    Attributes:
        max_event_bytes: the largest event, encoded with all that is stored beside it.
        max_record_bytes: the largest record, which holds one atomic write.
    """

    max_event_bytes: int
    max_record_bytes: int

    def rejection(self, write: AtomicWrite, serializer: Serializer, timestamp: int) -> Rejection | None:
        """Why Kafka's journal would not take this write; None if it would.

        Raises:
            SerializationError: an event has no encoded form.
        """
        total = 0
        for event in write.events:
            size = len(encode_entry(event, serializer.dump(event.payload), timestamp=event.timestamp or timestamp))
            if size > self.max_event_bytes:
                return Rejection(
                    f"event {event.sequence_nr} has {size} bytes; the limit in Kafka is {self.max_event_bytes} "
                    "(max-event-bytes)"
                )
            total += size
        room = entries_room(self.max_record_bytes, write.persistence_id)
        if total > room:
            return Rejection(
                f"an atomic write has {total} bytes; one record in Kafka holds {max(0, room)} (max-record-bytes)"
            )
        return None
