"""The memory stores keep every promise, with nothing declared off."""

import pytest

from compat_suite import JournalSpec, SnapshotStoreSpec
from compat_suite.capabilities import JOURNAL, SNAPSHOT_STORE
from compat_suite.memory_backdoor import MemoryBackdoor
from compat_suite.memory_faults import open_memory_faults
from kafka_persist.abc import Capability
from kafka_persist.memory import MemoryBackend, open_memory_journal, open_memory_snapshot_store


@pytest.fixture
def backend():
    return MemoryBackend()


class Adapters:
    examples = 100

    @pytest.fixture
    def faults(self):
        return open_memory_faults

    @pytest.fixture
    def backdoor(self, backend):
        return MemoryBackdoor(backend)


class TestMemoryJournal(Adapters, JournalSpec):
    capabilities = JOURNAL
    max_write_bytes = 1 << 20

    @pytest.fixture
    def open_journal(self, backend):
        return lambda: open_memory_journal(backend)


class TestMemorySnapshotStore(Adapters, SnapshotStoreSpec):
    capabilities = SNAPSHOT_STORE - {Capability.SNAPSHOT_FALLBACK}

    @pytest.fixture
    def open_snapshot_store(self, backend):
        return lambda: open_memory_snapshot_store(backend)


class TestMemorySnapshotStoreWithFallback(Adapters, SnapshotStoreSpec):
    capabilities = SNAPSHOT_STORE

    @pytest.fixture
    def open_snapshot_store(self, backend):
        return lambda: open_memory_snapshot_store(backend, fallback=True)


class TestMemorySnapshotStoreOfOne(Adapters, SnapshotStoreSpec):
    capabilities = SNAPSHOT_STORE - {Capability.SNAPSHOT_FALLBACK, Capability.MULTIPLE_SNAPSHOTS}

    @pytest.fixture
    def open_snapshot_store(self, backend):
        return lambda: open_memory_snapshot_store(backend, keep=1)
