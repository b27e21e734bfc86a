"""Events as a projection's store gets them."""

from __future__ import annotations

from kafka_persist import ReceivedEvent


def event(offset, sequence_nr=None, *, name="a", data=None, topic="topic", partition=0):
    number = offset + 1 if sequence_nr is None else sequence_nr
    return ReceivedEvent(
        persistence_id=name,
        sequence_nr=number,
        data=number if data is None else data,
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=0,
    )
