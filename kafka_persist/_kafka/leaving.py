"""How a member leaves its group so that the group notices: a client's ``close()`` alone does not always say goodbye.

A member that disappears without a word makes the whole group wait until its session ends (``session.timeout.ms``, 45 s). Members
that come and go during that time are held up by it, and the group may never get an assignment (seen with four members that
were cancelled every two to five seconds). Two cases, both seen with librdkafka 2.16:

* *A member without partitions.* ``close()`` sends the goodbye when its partitions are given up, so it sends none where there are
  none: "consumer is terminating, skipping rejoin". ``unsubscribe()`` before it sends one.
* *A member that joins, or joins again.* The coordinator holds its request back until all members are there, and with it everything
  else on that connection; the client postpones ``unsubscribe()`` until then, and ``close()`` forgets it.

So a client is told to unsubscribe and is served until it has, in the thread that closes it: its member id is gone then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException

from .errors import OUT_OF_RANGE, UNREACHABLE

JOINING_SECONDS: Final = 60.0
"""Longer than sessions usually are: when somebody else has disappeared without a word, that is how long the join takes."""

POLL_SECONDS: Final = 0.02

LEFT_ALONE: Final = UNREACHABLE | OUT_OF_RANGE | {KafkaError._PARTITION_EOF, KafkaError._MAX_POLL_EXCEEDED}
"""Errors that do not keep a member from leaving; one that does, a missing right for example, ends the waiting."""


def leave_group(client: Consumer, *, joined: Callable[[], bool]) -> None:
    """Say goodbye; blocks, and never fails.

    Args:
        client: has subscribed.
        joined: whether a callback has told of an assignment. Before, the client has no member id that it could give up, but the
            coordinator may have made one.
    """
    give_up = time.monotonic() + JOINING_SECONDS
    with suppress(KafkaException):
        _serve(client, joined, give_up)
        client.unsubscribe()
        _serve(client, lambda: not client.memberid(), give_up)


def _serve(client: Consumer, done: Callable[[], bool], give_up: float) -> None:
    """Let callbacks run until it is done, or cannot be."""
    while not done() and time.monotonic() < give_up:
        messages = client.consume(1, POLL_SECONDS)
        errors = [error for message in messages if (error := message.error()) is not None]
        if any(error.code() not in LEFT_ALONE and not error.retriable() for error in errors):
            return
