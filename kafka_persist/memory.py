"""A journal and a snapshot store in memory: the executable specification of the contract in `kafka_persist.abc`.

Same rules and same errors as the Kafka stores, no Kafka needed. Data lives in a `MemoryBackend`: stores that are
opened on the same one share it, as two processes share a broker, and it outlives them::

    backend = MemoryBackend()
    async with open_memory_journal(backend) as journal: ...
    async with open_memory_journal(backend) as journal: ...  # reopened: everything is still there
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from ._lifecycle import require_trio
from ._memory.backend import MemoryBackend
from ._memory.journal import MemoryJournal
from ._memory.sizes import KafkaSizes
from ._memory.snapshots import MemorySnapshotStore
from .abc import Journal, SnapshotStore
from .config import JournalConfig
from .serialization import Serializer, default_serializer

MemoryBackend.__module__ = __name__

__all__ = ["MemoryBackend", "open_memory_journal", "open_memory_snapshot_store"]


def open_memory_journal(
    backend: MemoryBackend | None = None,
    *,
    serializer: Serializer | None = None,
    max_write_bytes: int = 1 << 20,
    config: JournalConfig | None = None,
) -> AbstractAsyncContextManager[Journal]:
    """Open a journal in memory.

    Args:
        backend: where the events are kept; None makes one that ends with the block (the journal is not durable then).
        serializer: encodes payloads and metadata.
        max_write_bytes: an atomic write whose payloads and metadata are larger is rejected.
        config: if given, what a journal in Kafka with this configuration would reject as too large is rejected here, too.
    """
    return _open_journal(backend, serializer or default_serializer(), max_write_bytes, config)


@asynccontextmanager
async def _open_journal(
    backend: MemoryBackend | None, serializer: Serializer, max_write_bytes: int, config: JournalConfig | None
) -> AsyncGenerator[Journal]:
    require_trio()
    journal = MemoryJournal(
        backend or MemoryBackend(),
        serializer,
        max_write_bytes=max_write_bytes,
        sizes=None if config is None else KafkaSizes(config.max_event_bytes, config.max_record_bytes),
        durable=backend is not None,
    )
    try:
        yield journal
    finally:
        journal.close()


def open_memory_snapshot_store(
    backend: MemoryBackend | None = None,
    *,
    serializer: Serializer | None = None,
    keep: int | None = None,
    fallback: bool = False,
) -> AbstractAsyncContextManager[SnapshotStore]:
    """Open a snapshot store in memory.

    Args:
        backend: where the snapshots are kept; None makes one that ends with the block.
        serializer: encodes snapshots and metadata.
        keep: how many snapshots of an id stay when a new one is saved; None keeps all.
        fallback: where the newest snapshot is unreadable, load an older readable one instead of failing.
    """
    return _open_snapshot_store(backend, serializer or default_serializer(), keep, fallback=fallback)


@asynccontextmanager
async def _open_snapshot_store(
    backend: MemoryBackend | None, serializer: Serializer, keep: int | None, *, fallback: bool
) -> AsyncGenerator[SnapshotStore]:
    require_trio()
    store = MemorySnapshotStore(
        backend or MemoryBackend(), serializer, keep=keep, fallback=fallback, durable=backend is not None
    )
    try:
        yield store
    finally:
        store.close()
