"""From the values of records to events, without Trio and without a broker."""

from __future__ import annotations

from typing import Any

import attrs

from .._core.chain import Chain
from .._core.envelope import decode_entries, decode_envelope
from .._core.event_format import PublishedFields, decode_event
from .._core.follower import Follower
from .._journal import bookmark as bookmarks
from ..driver import Log
from ..errors import StoredDataError, UsageError
from ..model import Event, PersistentRepr
from ..serialization import Serializer, default_serializer


class EventDecoder:
    """Decodes the values of user-defined topics; any client's, for example confluent_kafka's.

    It is a value deserializer for ``confluent_kafka.DeserializingConsumer``, and a plain function of bytes::

        decoder = EventDecoder(serializer)
        event = decoder(message.value())

    Args:
        serializer: the registry of payload types; by default plain data only.
    """

    def __init__(self, serializer: Serializer | None = None) -> None:
        self._serializer = serializer or default_serializer()

    def __repr__(self) -> str:
        return f"<EventDecoder {self._serializer}>"

    def __call__(self, value: bytes | None, ctx: Any = None) -> Event | None:
        """Return the event in `value`; None for a record without a value.

        Args:
            value: of a record.
            ctx: what confluent_kafka passes, not looked at but for the topic's name in messages.

        Raises:
            CorruptRecord: not a published event.
            UnsupportedEnvelope: a later format.
            UnknownManifest: the type or version of its data is not registered.
            PayloadUnreadable: the data does not fit its type.
        """
        if value is None:
            return None
        fields, data = self.fields(value, getattr(ctx, "topic", None) or "a record")
        return Event(fields.persistence_id, fields.sequence_nr, data)

    def fields(self, value: bytes, where: str) -> tuple[PublishedFields, Any]:
        """Return everything in `value`, and its data as the registered type.

        Raises: as a call; `where` names the record in the message.
        """
        fields = decode_event(value, where)
        if not fields.type_name and not fields.type_version:
            return fields, fields.data
        try:
            return fields, self._serializer.load(fields.type_name, fields.type_version, fields.data)
        except StoredDataError as error:
            raise type(error)(f"{where}: event {fields.sequence_nr}: {error}") from error


@attrs.define
class _Followed:
    follower: Follower
    log_start: int


class PersistentReprDecoder:
    """Decodes the records of journal topics and leaves out those that do not count.

    Whether a record counts depends on those before it, so a decoder follows each topic from its first record on, in
    order, or goes on where `bookmark` was taken.

    Args:
        serializer: the registry of payload types; by default plain data only.
    """

    def __init__(self, serializer: Serializer | None = None) -> None:
        self._serializer = serializer or default_serializer()
        self._followed: dict[Log, _Followed] = {}

    def __repr__(self) -> str:
        return f"<PersistentReprDecoder of {len(self._followed)} topics>"

    def decode(self, topic: str, partition: int, offset: int, value: bytes | None) -> list[PersistentRepr]:
        """Return the events of a record; none if it does not count, or is no record of events.

        Raises:
            UsageError: records between the last one and this one were left out.
            StoredDataError: the record is damaged, its data is unreadable, or the log's start was cut so that nothing
                is certain.
        """
        log = Log(topic, partition)
        where = f"{log}@{offset}"
        envelope = decode_envelope(value, where)
        found = self._followed.get(log)
        if found is None:
            chain = Chain(envelope.state.persistence_id)
            found = self._followed[log] = _Followed(Follower(chain), offset)
        if offset < found.follower.position:
            return []  # seen before
        if offset > found.follower.position:
            raise UsageError(
                f"{where}: the records from offset {found.follower.position} on were left out, and whether this one counts "
                "depends on them. Give a decoder every record, in order; where a deletion has cut the log meanwhile, begin "
                "with a new decoder at the log's start"
            )
        if not found.follower.take(offset, envelope, found.log_start, where):
            return []
        return decode_entries(envelope, self._serializer, where)

    def bookmark(self, topic: str, partition: int = 0) -> bytes | None:
        """Return where the decoder is in a topic, to be kept beside the consumer's position; None if nowhere."""
        found = self._followed.get(Log(topic, partition))
        return None if found is None else bookmarks.to_bytes(found.follower.chain.head)

    def resume(self, persistence_id: str, bookmark: bytes, topic: str, partition: int = 0) -> None:
        """Go on after a `bookmark`, in a new process.

        Raises:
            UsageError: this decoder has seen records of the topic already.
            CorruptRecord: not a bookmark.
        """
        log = Log(topic, partition)
        if log in self._followed:
            raise UsageError(f"this decoder follows {log} already; resume before the first record")
        head = bookmarks.from_bytes(bookmark)
        chain = Chain(persistence_id, head, head.offset + 1, oldest=head.highest + 1)
        self._followed[log] = _Followed(Follower(chain), 0)
