"""Consuming published events: in Trio programs with `open_events`, elsewhere with the decoders alone.

``docs/consumers.md`` shows each way, ``docs/event-format.md`` describes the bytes for programs in other languages.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal

import trio

from ._consuming.decoding import EventDecoder, PersistentReprDecoder
from ._consuming.stream import EventStream, OnUndecodable, ReceivedEvent, StreamStatistics
from ._lifecycle import background, require_trio
from .config import Config, JournalConfig
from .driver import TopicSpec
from .errors import UsageError
from .naming import is_legal_topic_name
from .serialization import Serializer

__all__ = [
    "EventDecoder",
    "EventStream",
    "OnUndecodable",
    "PersistentReprDecoder",
    "ReceivedEvent",
    "StreamStatistics",
    "open_events",
]

for _each in (EventDecoder, EventStream, PersistentReprDecoder, ReceivedEvent, StreamStatistics):
    _each.__module__ = __name__  # where users import them from
del _each


@asynccontextmanager
async def open_events(
    config: Config | JournalConfig,
    topics: str | Sequence[str],
    *,
    group: str,
    serializer: Serializer | None = None,
    start: Literal["earliest", "latest"] = "earliest",
    on_undecodable: OnUndecodable = "stop",
    dead_letter_topic: str | None = None,
) -> AsyncIterator[EventStream]:
    """Open the events of user-defined topics as a member of a consumer group.

    At least once: an event's position is committed when the next event is asked for, or when the block is left without
    an exception. After a crash or an exception the group goes on with the events that were not finished. Members of
    one group share the partitions; the events of one persistence id always come to one member, in order.

    Args:
        config: the program's, or its journal's part: brokers, security, creation of topics.
        topics: one or several; missing ones are created unless ``config.topics.create`` is false.
        group: the name of the group: what remembers how far the events were read.
        serializer: the registry of payload types; by default plain data only.
        start: where a group begins that has no position yet.
        on_undecodable: "stop" raises; "skip" leaves the value out, logs it and counts it; "dead-letter" also copies it
            to `dead_letter_topic`, with where and why in headers.
        dead_letter_topic: for "dead-letter".

    Raises:
        UsageError: no topic, an illegal name, no group, or a policy without its topic.
        TopicMissing: a topic is missing, and creation is not allowed.
        BrokerError: the broker did not answer, or refused.
    """
    require_trio()
    config = config.journal if isinstance(config, Config) else config
    names = _check(topics, group, on_undecodable, dead_letter_topic)
    from ._kafka.consumers import open_event_reader
    from ._kafka.dead_letters import SendDeadLetter, open_dead_letter_producer

    async with AsyncExitStack() as stack:
        specs = [
            TopicSpec(name, config.event_producer.partitions, config.event_topic_settings(), role="events")
            for name in names
        ]
        send_dead_letter: SendDeadLetter | None = None
        if dead_letter_topic is not None:
            send_dead_letter = await stack.enter_async_context(open_dead_letter_producer(config, dead_letter_topic))
        reader = await stack.enter_async_context(open_event_reader(config, specs, group=group, start=start))
        tasks = await stack.enter_async_context(background("the event stream"))
        stream = EventStream(reader, EventDecoder(serializer), policy=on_undecodable, send_dead_letter=send_dead_letter)
        reader.subscribe(names)
        tasks.spawn(reader.place)
        tasks.spawn(stream.run)
        yield stream
        stream.finish()
        with trio.CancelScope(shield=True):  # nothing is waited for
            await stream.aclose()


def _check(topics: str | Sequence[str], group: str, policy: str, dead_letter_topic: str | None) -> list[str]:
    names = [topics] if isinstance(topics, str) else list(topics)
    if not names or not all(is_legal_topic_name(name) for name in names):
        raise UsageError(f"topics must be one or more names of topics, not {topics!r}")
    if not group:
        raise UsageError("group must be the name of a consumer group")
    if policy not in ("stop", "skip", "dead-letter"):
        raise UsageError(f'on_undecodable must be "stop", "skip" or "dead-letter", not {policy!r}')
    if (policy == "dead-letter") != (dead_letter_topic is not None):
        raise UsageError('on_undecodable="dead-letter" and dead_letter_topic belong together; give both or none')
    if dead_letter_topic is not None and (not is_legal_topic_name(dead_letter_topic) or dead_letter_topic in names):
        raise UsageError(f"dead_letter_topic must be a topic of its own, not {dead_letter_topic!r}")
    return names
