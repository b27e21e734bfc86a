"""A consumer that reads stretches of logs, any number at the same time: all of it on Trio's thread, and nothing blocks.

Theory of operation
===================

Reading a stretch takes no blocking look-up. Its partition is assigned where reading begins, or at its end to learn that
(`fetch` tells why), read until an offset is reached, and unassigned. Where the log begins comes with the fetches:
``get_watermark_offsets(cached=True)`` is what the last answer said.

Three traps, all measured (librdkafka 2.16, confluent-kafka 2.16.1):

* A partition whose leader this consumer does not know waits for a timer, 340 ms in the median. A question for its metadata
  whose answer nobody waits for makes the leader known: 0.7 ms, and 20 ms for a hundred unknown topics. So whoever begins
  to read, or sees no progress, asks (`handle.ask_for_topic`).
* Of such a partition, librdkafka looks for a place like "the end" only after another timer, 500 ms. Absolute offsets it
  fetches at once. So the first try is at an offset that no log has: the error says that the leader is known now.
* While a thread is inside a blocking call of a consumer, ``consume(n, 0)`` waits for it: a look-up in a thread would stop
  the event loop. So this consumer's blocking calls are never used, but for closing it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import trio
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from ..driver import Log, LogRange
from ..errors import StoreClosed
from .admin import ANY_TOPIC
from .client import Reasons
from .closing import close_client
from .errors import OUT_OF_RANGE, translated
from .fetch import Fetch, Step
from .handle import ask_for_topic
from .wakeup import TICK_SECONDS, wait_on

SLICE: Final = 100
"""Messages taken at a time. With larger slices Python's garbage collector scans what is waiting (with 2,000, a replay has
0.36 instead of 0.55 of the raw client's speed)."""

AGAIN_SECONDS: Final = 0.05
"""Before a stretch is assigned again whose log seems to end too early."""

KNOWN_SECONDS: Final = 240.0
"""How long a leader stays known: librdkafka forgets topics that nobody uses after 15 minutes."""

MAX_KNOWN: Final = 100_000

NOWHERE: Final = 1 << 62
"""An offset that no log has."""

END: Final = KafkaError._PARTITION_EOF


class Fetcher:
    """One consumer.

    Args:
        config: librdkafka's properties.
        reasons: the last errors that the clients of the store reported.
    """

    def __init__(self, config: Mapping[str, Any], reasons: Reasons) -> None:
        self._reasons = reasons
        self._consumer = Consumer(dict(config))
        self._consumer.assign([])  # stays incremental from here on
        ask_for_topic(self._consumer, ANY_TOPIC)  # begins to connect; the answer is of no interest
        self._fetches: dict[tuple[str, int], Fetch] = {}
        self._leaders_known: dict[str, float] = {}
        self._closed = False
        self.outdated = False
        """Not to be used for anything new: the brokers have other addresses, or its connections seem dead."""

    def __repr__(self) -> str:
        return f"<Fetcher of {len(self._fetches)} logs{', outdated' if self.outdated else ''}>"

    def attach(self) -> None:
        """Begin to be woken; call it on Trio's thread (the client itself is made in another one)."""
        self._waiting = wait_on(self._consumer, "consumer")

    @property
    def idle(self) -> bool:
        """Nothing is read."""
        return not self._fetches

    def reads(self, log: Log) -> bool:
        """Whether a stretch of the log is being read: only one at a time is possible."""
        return (log.topic, log.partition) in self._fetches

    # --- stretches -----------------------------------------------------------------------------------------------

    def begin(self, fetch: Fetch) -> None:
        """Read a stretch."""
        if self._closed:
            raise StoreClosed("the connection to Kafka is closed")
        log = fetch.log
        assert not self.reads(log), log
        self._fetches[log.topic, log.partition] = fetch
        self._assign(fetch)

    def end(self, fetch: Fetch) -> None:
        """Read it no more; idempotent."""
        log = fetch.log
        if self._fetches.get((log.topic, log.partition)) is fetch:
            del self._fetches[log.topic, log.partition]
            self._unassign(fetch)

    def _assign(self, fetch: Fetch) -> None:
        log, place = fetch.log, fetch.place
        fetch.assign_at = None
        known = self._leaders_known.get(log.topic, 0.0) >= time.monotonic()
        fetch.probing = not known and place < 0
        if fetch.probing:
            place = NOWHERE
        with translated(f"reading {log}"):
            self._consumer.incremental_assign([TopicPartition(log.topic, log.partition, place)])
        fetch.assigned = True
        if not known:
            ask_for_topic(self._consumer, log.topic)

    def _unassign(self, fetch: Fetch) -> None:
        if fetch.assigned and not self._closed:
            fetch.assigned = False
            log = fetch.log
            with translated(f"reading {log}"):
                self._consumer.incremental_unassign([TopicPartition(log.topic, log.partition)])

    # --- messages ------------------------------------------------------------------------------------------------

    async def turn(self, seconds: float = TICK_SECONDS) -> None:
        """Take what has come, and wait for something if that is nothing."""
        assigned_again: set[Fetch] = set()
        messages = await self._waiting.poll(self._consume, seconds)
        place = 0
        while place < len(messages):
            message = messages[place]
            fetch = self._fetches.get((message.topic(), message.partition()))  # type: ignore[arg-type]  # None finds nothing
            # What else this slice has of a stretch that was assigned again comes from where it was assigned before: to take
            # it for the continuation would skip records.
            if fetch is None or fetch in assigned_again:
                place += 1
                continue
            place, begin = fetch.take_run(messages, place), place
            if place == begin:
                place += 1
                if self._deliver(fetch, message):
                    assigned_again.add(fetch)

    def _consume(self, seconds: float) -> list[Message]:
        return self._consumer.consume(SLICE, seconds)

    def _deliver(self, fetch: Fetch, message: Message) -> bool:
        """Let a stretch take a message; whether it is assigned again, or will be."""
        error = message.error()
        if error is None:
            step = fetch.take(message, partial(self._watermarks, fetch.log))
        elif error.code() == END:
            fetch.progress += 1
            step = fetch.at_end(message.offset() or 0, partial(self._watermarks, fetch.log))
        else:
            step = fetch.fail(error)
            if error.code() in OUT_OF_RANGE:
                self._note_leader(fetch.log.topic)  # only the leader says so
        if step is Step.GO_ON:
            return False
        if step is Step.DONE:
            self.end(fetch)
            fetch.finish()
            return False
        self._unassign(fetch)
        if step is Step.ASSIGN:
            self._assign(fetch)
        else:
            self._leaders_known.pop(fetch.log.topic, None)
            fetch.assign_at = time.monotonic() + AGAIN_SECONDS
        return True

    def _watermarks(self, log: Log) -> LogRange:
        """The log's bounds as the last answer of a broker told them; asks nobody."""
        low, high = self._consumer.get_watermark_offsets(TopicPartition(log.topic, log.partition), cached=True)
        self._note_leader(log.topic)  # it has answered
        return LogRange(max(0, low), max(0, high))

    def _note_leader(self, topic: str) -> None:
        if len(self._leaders_known) >= MAX_KNOWN:
            self._leaders_known.clear()
        self._leaders_known[topic] = time.monotonic() + KNOWN_SECONDS
        if self._reasons.down:
            self._reasons.answered()

    def nudge(self, fetch: Fetch) -> None:
        """There is no progress: assign again if that is due, and ask for the leader."""
        if fetch.assign_at is not None:
            if time.monotonic() >= fetch.assign_at:
                self._assign(fetch)
            return
        self._leaders_known.pop(fetch.log.topic, None)
        if fetch.place < 0 and not fetch.probing:  # librdkafka's own timer would be slower
            self._unassign(fetch)
            self._assign(fetch)
        else:
            ask_for_topic(self._consumer, fetch.log.topic)

    # --- life ----------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """End the client's threads and connections; idempotent.

        Cancellation: takes no effect; it is bounded.
        """
        if self._closed:
            await trio.lowlevel.checkpoint_if_cancelled()
            return
        self._closed = True
        self._waiting.close()
        await close_client(self.close_client, "a consumer")

    def close_client(self) -> None:
        """End the client, blocking; for one that was never attached."""
        self._consumer.close()
