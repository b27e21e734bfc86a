"""Which commands are executed together, and where their writes move the position to.

Theory of operation. The position says: every command below this offset has taken effect, or was refused for good. It stands in the
record with the events, so it must never get ahead of a command that is not done. Hence three rules, which need nothing else:

* A batch is a run of commands in the order of the topic, from the position on. It ends before a command whose entity has one in
  it already: that one must see what the first has stored.
* Each write moves the position up to the next command of the batch that stores something: commands between them, which
  store nothing, are done with it. The last one moves it behind the batch.
* Writes are stored in their order, and none behind one that is not. So whatever is stored of a batch is a beginning of it, and
  the position says how much.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

import attrs

from .records import Command


@attrs.frozen
class Received:
    """A record of the command topic.

    Attributes:
        offset: where it stands.
        persistence_id: whose command it is; "" if that cannot be read.
        command: what it says; None if it cannot be read.
        problem: why not.
        reply_to: place, asker and number; None if nobody can be told.
    """

    offset: int
    persistence_id: str
    command: Command | None
    problem: str = ""
    reply_to: tuple[int, bytes, int] | None = None


def next_batch(waiting: deque[Received], position: int, most: int) -> list[Received]:
    """Take the next batch out of what waits; what is done already is dropped.

    Args:
        waiting: in the order of the topic.
        position: what is below it is done.
        most: commands at most.
    """
    batch: list[Received] = []
    ids: set[str] = set()
    while waiting and len(batch) < most:
        first = waiting[0]
        if first.offset >= position:
            if first.persistence_id and first.persistence_id in ids:
                break
            ids.add(first.persistence_id)
            batch.append(first)
        waiting.popleft()
    return batch


def positions(batch: Sequence[Received], storing: Collection[int]) -> list[int]:
    """Where the writes of a batch move the position to.

    Args:
        batch: the commands.
        storing: the offsets of those that store something.
    """
    stops = [each.offset for each in batch if each.offset in storing]
    return [*stops[1:], batch[-1].offset + 1] if stops else []
