"""Stored bytes are data: nothing in the decode path turns them, or names in them, into code."""

import re
from pathlib import Path

import pytest

import kafka_persist

# A configuration or an operator may name a class, and secrets refuse to be pickled: neither ever sees stored data.
OUTSIDE = {"_commands", "_config", "publishing.py"}
ROOT = Path(kafka_persist.__file__).parent
SOURCES = [path for path in sorted(ROOT.rglob("*.py")) if path.relative_to(ROOT).parts[0] not in OUTSIDE]
FORBIDDEN = re.compile(
    r"\b(pickle|cPickle|marshal|shelve|dill|jsonpickle|import_module|__import__|eval|exec|__reduce__)\b"
)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled_or_imported_by_name(source):
    """No module that stored data passes through uses pickle or its kin, evaluates text, or imports by a computed name."""
    code = [line for line in source.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
    assert [line for line in code if FORBIDDEN.search(line)] == []
