"""The memory stores keep every promise, with nothing declared off."""

import pytest

from compat_suite import JournalSpec
from compat_suite.capabilities import JOURNAL
from compat_suite.memory_faults import open_memory_faults
from kafka_persist.memory import MemoryBackend, open_memory_journal


class TestMemoryJournal(JournalSpec):
    capabilities = JOURNAL
    max_write_bytes = 1 << 20

    @pytest.fixture
    def open_journal(self):
        backend = MemoryBackend()
        return lambda: open_memory_journal(backend)

    @pytest.fixture
    def faults(self):
        return open_memory_faults
