"""Stores in front of the subject that note every call in the history; they add no checkpoint and change nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

import trio

from kafka_persist.abc import Capability, Journal, ReplayChannel, SnapshotStore
from kafka_persist.errors import printable
from kafka_persist.model import (
    LATEST,
    MAX_SEQUENCE_NR,
    AtomicWrite,
    PersistentRepr,
    Rejection,
    SelectedSnapshot,
    SelectionCriteria,
    SnapshotMetadata,
)

from . import history as words
from .history import History

T = TypeVar("T")


async def _noted(
    history: History, call: str, coroutine: Coroutine[Any, Any, T], describe: Callable[[T], str] = str
) -> T:
    key = history.begin(call)
    try:
        value = await coroutine
    except BaseException as error:
        history.end(key, f"raised {words.failure(error)}")
        raise
    history.end(key, describe(value))
    return value


def _short(persistence_id: str) -> str:
    return printable(persistence_id, 48)


class RecordedJournal(Journal):
    """Notes the calls to a journal."""

    def __init__(self, inner: Journal, history: History, place: str = "") -> None:
        self.inner = inner
        self._history = history
        self._place = place

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the subject."""
        return self.inner.capabilities

    async def claim(self, persistence_id: str, writer: UUID) -> int:
        """Note and forward."""
        call = f"{self._place}claim({_short(persistence_id)} for {self._history.writer(writer)})"
        return await _noted(self._history, call, self.inner.claim(persistence_id, writer))

    async def write(self, writes: Sequence[AtomicWrite]) -> Sequence[Rejection | None]:
        """Note and forward."""

        def describe(results: Sequence[Rejection | None]) -> str:
            return words.shorten("[" + ", ".join(words.rejection(result) for result in results) + "]")

        return await _noted(
            self._history, self._place + self._history.writes(writes), self.inner.write(writes), describe
        )

    def replay(
        self,
        persistence_id: str,
        *,
        from_sequence_nr: int = 1,
        to_sequence_nr: int = MAX_SEQUENCE_NR,
        max_events: int | None = None,
    ) -> AbstractAsyncContextManager[ReplayChannel]:
        """Note and forward."""
        limit = "" if max_events is None else f", at most {max_events}"
        call = f"{self._place}replay({_short(persistence_id)} {from_sequence_nr}..{words.bound(to_sequence_nr)}{limit})"
        inner = self.inner.replay(
            persistence_id, from_sequence_nr=from_sequence_nr, to_sequence_nr=to_sequence_nr, max_events=max_events
        )
        return self._replay(call, inner)

    @asynccontextmanager
    async def _replay(
        self, call: str, inner: AbstractAsyncContextManager[ReplayChannel]
    ) -> AsyncGenerator[ReplayChannel]:
        key = self._history.begin(call)
        received: list[int] = []
        try:
            async with inner as channel:
                yield RecordedChannel(channel, received)
        except BaseException as error:
            self._history.end(key, f"{words.numbers(received)}, then raised {words.failure(error)}")
            raise
        self._history.end(key, words.numbers(received))

    async def highest_sequence_nr(self, persistence_id: str) -> int:
        """Note and forward."""
        call = f"{self._place}highest_sequence_nr({_short(persistence_id)})"
        return await _noted(self._history, call, self.inner.highest_sequence_nr(persistence_id))

    async def delete_to(self, persistence_id: str, to_sequence_nr: int) -> None:
        """Note and forward."""
        call = f"{self._place}delete_to({_short(persistence_id)}, {words.bound(to_sequence_nr)})"
        await _noted(self._history, call, self.inner.delete_to(persistence_id, to_sequence_nr))

    def persistence_ids(self) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[str]]:
        """Forward."""
        return self.inner.persistence_ids()

    def bookmark(self, persistence_id: str) -> bytes | None:
        """Forward."""
        return self.inner.bookmark(persistence_id)

    def deleted_to(self, persistence_id: str) -> int | None:
        """Forward."""
        return self.inner.deleted_to(persistence_id)

    def resume_from(self, persistence_id: str, bookmark: bytes) -> None:
        """Forward."""
        self.inner.resume_from(persistence_id, bookmark)


class RecordedChannel(trio.abc.ReceiveChannel[PersistentRepr]):
    """Notes the sequence numbers that come out of a replay."""

    def __init__(self, inner: ReplayChannel, received: list[int]) -> None:
        self._inner = inner
        self._received = received

    async def receive(self) -> PersistentRepr:
        """Note and forward."""
        event = await self._inner.receive()
        self._received.append(event.sequence_nr)
        return event

    async def __anext__(self) -> PersistentRepr:
        """Note and forward: a channel may have an ``async for`` of its own."""
        event = await self._inner.__anext__()
        self._received.append(event.sequence_nr)
        return event

    async def aclose(self) -> None:
        """Forward."""
        await self._inner.aclose()


class RecordedSnapshotStore(SnapshotStore):
    """Notes the calls to a snapshot store."""

    def __init__(self, inner: SnapshotStore, history: History, place: str = "") -> None:
        self.inner = inner
        self._history = history
        self._place = place

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the subject."""
        return self.inner.capabilities

    async def save(self, metadata: SnapshotMetadata, snapshot: object) -> SnapshotMetadata:
        """Note and forward."""
        call = f"{self._place}save({words.snapshot(metadata)}: {words.shorten(repr(snapshot), 40)})"
        return await _noted(self._history, call, self.inner.save(metadata, snapshot), words.snapshot)

    async def load(self, persistence_id: str, criteria: SelectionCriteria = LATEST) -> SelectedSnapshot | None:
        """Note and forward."""

        def describe(found: SelectedSnapshot | None) -> str:
            if found is None:
                return "None"
            return f"{words.snapshot(found.metadata)}: {words.shorten(repr(found.snapshot), 40)}"

        call = f"{self._place}load({_short(persistence_id)}, {words.criteria(criteria)})"
        return await _noted(self._history, call, self.inner.load(persistence_id, criteria), describe)

    async def delete(self, metadata: SnapshotMetadata) -> None:
        """Note and forward."""
        await _noted(self._history, f"{self._place}delete({words.snapshot(metadata)})", self.inner.delete(metadata))

    async def delete_matching(self, persistence_id: str, criteria: SelectionCriteria) -> None:
        """Note and forward."""
        call = f"{self._place}delete_matching({_short(persistence_id)}, {words.criteria(criteria)})"
        await _noted(self._history, call, self.inner.delete_matching(persistence_id, criteria))
