"""`open_memory_persistence`: what `open_persistence` opens, in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .config import Config
from .memory import MemoryBackend, open_memory_journal, open_memory_snapshot_store
from .persistence import Persistence, open_persistence_on
from .serialization import Serializer, default_serializer
from .tracing import Tracing

__all__ = ["open_memory_persistence"]


@asynccontextmanager
async def open_memory_persistence(
    backend: MemoryBackend | None = None,
    *,
    serializer: Serializer | None = None,
    config: Config | None = None,
    tracing: Tracing | None = None,
) -> AsyncIterator[Persistence]:
    """Open entities and views on stores in memory, for tests and trials.

    Args:
        backend: where everything is kept; None makes one that ends with the block.
        serializer: the registry of event and state types; by default plain data only.
        config: its limits hold here as well: what would be too large for Kafka is rejected, and as many snapshots
            stay; by default the reference configuration.
        tracing: is told of spans (`kafka_persist.otel.OpenTelemetryTracing`); None for nobody, which costs nothing.
    """
    config = config or Config()
    backend = MemoryBackend() if backend is None else backend
    serializer = serializer or default_serializer()
    async with (
        open_memory_journal(backend, serializer=serializer, config=config.journal) as journal,
        open_memory_snapshot_store(backend, serializer=serializer, keep=config.snapshot_store.keep) as snapshot_store,
        open_persistence_on(journal, snapshot_store, serializer=serializer, tracing=tracing) as persistence,
    ):
        yield persistence
