"""Deleting saves, and tidying up after every change.

The order matters where a process may die in between: saves that a visible one replaced go before it, or they would come
back; commit records go before their chunks, or a snapshot would be there that cannot be read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

import attrs
import trio

from .._core.selection import superseded
from .._core.snapshot_saves import Save
from ..driver import Fate
from ..errors import BrokerError, PersistenceError, WriteOutcomeUnknown, printable
from .interface import Sent, SnapshotLog

_log = logging.getLogger("kafka_persist.snapshots")

CHUNKS_AT_ONCE: Final = 1000


async def withdraw(topic: SnapshotLog, victims: Iterable[Save], strange: Iterable[bytes] = ()) -> list[Sent]:
    """Delete snapshots, with those that they replaced; return what was appended.

    Raises:
        WriteOutcomeUnknown, BrokerError: not certain that all are gone.
    """
    victims = list(victims)
    shadowed = topic.index.shadowed(save.key.sequence_nr for save in victims)
    sent: list[Sent] = []
    for keys in ([save.key.commit() for save in shadowed], [save.key.commit() for save in victims], list(strange)):
        sent += checked(topic, await topic.append((key, None) for key in keys))
    return sent


def checked(topic: SnapshotLog, sent: Sequence[Sent]) -> Sequence[Sent]:
    """Return `sent` if all of it is in the log.

    Raises:
        WriteOutcomeUnknown: nobody knows whether it is.
        BrokerError: it is not.
    """
    for each in sent:
        if each.ack.fate is Fate.UNKNOWN:
            raise WriteOutcomeUnknown(
                f"a deletion in {topic.log} may or may not have happened ({each.ack.reason}); deleting again is safe"
            )
        if not each.stored:
            raise refusal(topic, each)
    return sent


def refusal(topic: SnapshotLog, sent: Sent) -> PersistenceError:
    """The error for a record that the broker refused."""
    if isinstance(sent.ack.error, PersistenceError):
        return sent.ack.error
    size, advice = len(sent.key) + len(sent.value or b""), ""
    if sent.ack.fate is Fate.TOO_LARGE:
        advice = f". The record has {size} bytes: lower chunk-bytes, or raise max.message.bytes of the topic"
    return BrokerError(
        f"{topic.log}: a record for {printable(topic.persistence_id)} was refused, which is certainly not stored: "
        f"{sent.ack.reason}{advice}"
    )


@attrs.frozen
class Tidier:
    """Deletes what is no longer wanted, and writes what makes the next look short.

    Nothing depends on it: what one call leaves behind, the next save removes.

    Attributes:
        keep: how many of the newest snapshots stay.
        room: bytes of the largest record.
        seconds: after which the rest is left to the next call.
    """

    keep: int
    room: int
    seconds: float

    async def run(self, topic: SnapshotLog, sent: Iterable[Sent], *, garbage_before: int, retain: bool) -> None:
        """Tidy up after a call that has appended `sent`.

        Args:
            topic: its index as it was before.
            sent: what was appended.
            garbage_before: see `SnapshotIndex.garbage`.
            retain: whether to delete replaced snapshots and those beyond `keep`.
        """
        try:
            with trio.fail_after(self.seconds):
                await topic.learn(sent)
                if retain:
                    await self._retain(topic)
                await self._sweep(topic, garbage_before)
                checked(topic, await topic.append(topic.closing_records(self.room)))
        except trio.TooSlowError:
            _log.warning(
                "%s: replaced snapshots are not removed yet: no answer in %g s",
                topic.log,
                self.seconds,
                extra={"event": "snapshot.not-removed"},
            )
        except PersistenceError as error:
            _log.warning(
                "%s: replaced snapshots are not removed yet: %s",
                topic.log,
                error,
                extra={"event": "snapshot.not-removed"},
            )

    async def _retain(self, topic: SnapshotLog) -> None:
        doomed = topic.index.shadowed()
        visible = topic.index.visible()
        if len(visible) > self.keep:
            old = superseded((save.metadata(topic.persistence_id) for save in visible.values()), self.keep)
            doomed += [visible[metadata.sequence_nr] for metadata in old]
        if doomed:
            sent = await withdraw(topic, doomed)
            await topic.learn(sent)

    async def _sweep(self, topic: SnapshotLog, garbage_before: int) -> None:
        # The keys of a batch at a time: a record that somebody forged may name a million chunks.
        garbage = [(save, save.live_chunks) for save in topic.index.garbage(garbage_before)]
        keys = (save.key.chunk(index) for save, chunks in garbage for index in chunks)
        while batch := list(islice(keys, CHUNKS_AT_ONCE)):
            sent = await topic.append((key, None) for key in batch)
            await topic.learn(checked(topic, sent))
